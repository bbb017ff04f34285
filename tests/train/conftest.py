import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosine(a, b):
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def naive_loss(q, p, negatives, temperature, dropped=lambda name, i, j: False):
    """Double loop over entries in float64; `dropped` says what is left out."""
    total = 0.0
    q, p = q.detach().numpy(), p.detach().numpy()
    negatives = [n.detach().numpy() for n in negatives]
    for i in range(len(q)):
        terms = []
        for j in range(len(q)):
            if i == j or not dropped("qp", i, j):
                terms.append(cosine(q[i], p[j]))
            if i != j and not dropped("qq", i, j):
                terms.append(cosine(q[i], q[j]))
            if i != j and not dropped("pp", i, j):
                terms.append(cosine(p[i], p[j]))
        for column, texts in enumerate(negatives):
            for j in range(len(q)):
                if not dropped("qn", i, column * len(q) + j):
                    terms.append(cosine(q[i], texts[j]))
        own = cosine(q[i], p[i])
        total += np.log(sum(np.exp((t - own) / temperature) for t in terms))
    return total / len(q)


@pytest.fixture(scope="session")
def plain():
    """Plain float64 counterparts of the contrastive core."""
    return SimpleNamespace(draw=draw, cosine=cosine, naive_loss=naive_loss)


@pytest.fixture(scope="session")
def tiny_model():
    """Build small BERT encoders with MiniLM's tokenizer: random weights, no dropout, 32 dims."""
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel

    from vecsmith.encode import resolve_model

    folder = resolve_model("sentence-transformers/all-MiniLM-L6-v2").path

    def build(seed, tmp, dims=32, spread=0.4):
        torch.manual_seed(seed)
        config = BertConfig(
            hidden_size=dims,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=2 * dims,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            initializer_range=spread,
        )
        path = tmp / f"tiny-{seed}-{dims}"
        BertModel(config).save_pretrained(path)
        for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            (path / name).write_bytes((folder / name).read_bytes())
        module = Transformer(str(path), max_seq_length=24)
        pooling = Pooling(module.get_embedding_dimension(), "mean")
        return SentenceTransformer(modules=[module, pooling], device="cpu")

    return build


@pytest.fixture(scope="session")
def pairs():
    """Rows of real words: query, positive, two negatives."""
    words = [
        "seizure",
        "fever",
        "headache",
        "rash",
        "cough",
        "nausea",
        "tremor",
        "fatigue",
        "anemia",
        "edema",
        "vertigo",
        "ataxia",
        "chest",
        "pain",
        "of",
        "the",
        "left",
        "arm",
        "and",
        "acute",
        "severe",
        "chronic",
        "mild",
        "loss",
        "hearing",
        "vision",
        "muscle",
        "bone",
    ]
    rng = np.random.default_rng(0)

    def text():
        return " ".join(rng.choice(words, rng.integers(2, 8)))

    return {name: [text() for _ in range(48)] for name in ("query", "positive", "bad", "worse")}


MEET = """
import importlib.util, os, sys
import torch, torch.distributed as dist
from safetensors.torch import load_file, save_file

folder, rank = sys.argv[1], int(os.environ["RANK"])
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
spec = importlib.util.spec_from_file_location("shared", sys.argv[2])
shared = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)
rows = int(sys.argv[4])
found = getattr(shared, sys.argv[3])(folder, slice(rows * rank, rows * (rank + 1)))
for tensor in found.values():
    dist.all_reduce(tensor)
    tensor /= 2
if rank == 0:
    save_file(found, f"{folder}/found.safetensors")
"""

PART = """
dist.barrier()
dist.destroy_process_group()
# gloo's threads may outlive the group, and abort an interpreter that takes itself apart
sys.stdout.flush()
os._exit(0)
"""


@pytest.fixture
def run_two(tmp_path):
    """Run a script in two processes that meet over gloo; it gets the folder, and RANK."""
    if not torch.distributed.is_gloo_available():
        pytest.skip("torch without gloo")

    def run(script, *words):
        path = tmp_path / "run.py"
        path.write_text(script + PART)
        running = [
            subprocess.Popen(
                [sys.executable, str(path), str(tmp_path), *map(str, words)],
                env={**os.environ, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
            )
            for rank in range(2)
        ]
        assert [process.wait(timeout=100) for process in running] == [0, 0]

    return run


@pytest.fixture
def mean_of_two(run_two, tmp_path):
    """Call a test file's function (folder, rows) in two processes; average the tensors it names."""
    from safetensors.torch import load_file

    def mean(work, rows):
        run_two(MEET, work.__code__.co_filename, work.__name__, rows)
        return load_file(tmp_path / "found.safetensors")

    return mean


@pytest.fixture(scope="session")
def same_gradients():
    """Compare named gradients."""

    def compare(found, wanted):
        assert found.keys() == wanted.keys()
        for name, tensor in wanted.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5, msg=name)

    return compare
