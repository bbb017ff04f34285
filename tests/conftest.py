"""What several rooms share: a random encoder small enough that nothing heavy runs."""

import os
import subprocess
import sys

import pytest

WORDS = (
    "a the is of to in and how open close file door read write valve pump filter sensor cable "
    "panel motor switch boiler paint colour red blue green query document run ##s ##ed ##ing"
).split()

PARTS = (
    "valve pump filter sensor cable panel socket bracket spring gear belt motor relay switch "
    "fuse boiler turbine piston gasket nozzle flange rotor stator coil magnet battery charger "
    "inverter antenna receiver amplifier speaker display keyboard printer scanner router "
    "modem server "
).split()


def _make(folder, *, prompts=None):
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(0)
    pieces = [chr(c) for c in range(33, 127)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]
    vocabulary += ["##" + piece for piece in pieces] + WORDS
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(vocabulary)), "utf-8")
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.4,
    )
    BertModel(config).save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"), max_seq_length=48)
    modules = [transformer, Pooling(32, "mean")]
    model = SentenceTransformer(modules=modules, device="cpu", prompts=prompts)
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A random two-layer encoder of 32 dimensions: folder of a sentence-transformers model."""
    return _make(tmp_path_factory.mktemp("tiny-model"))


# what the backbones call their sizes, where it differs from BERT
SMALL = {
    "distilbert": {"dim": 32, "n_layers": 4, "n_heads": 2, "hidden_dim": 64},
    "modernbert": {"cls_token_id": 2, "sep_token_id": 3, "local_attention": 4},
    "gemma": {"head_dim": 16},
    "gemma2": {"head_dim": 16, "sliding_window": 4},
    "gemma3_text": {"head_dim": 16, "sliding_window": 4},
    "qwen3": {"head_dim": 16},
}


@pytest.fixture(scope="session")
def layered_model(tmp_path_factory):
    """Build random encoders of 4 blocks and 32 dimensions on any backbone, without dropout."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(_make(tmp_path_factory.mktemp("vocabulary")))

    def build(kind="bert", *, seed=0, normalise=False, **options):
        torch.manual_seed(seed)
        sizes = {
            "hidden_size": 32,
            "num_hidden_layers": 4,
            "num_attention_heads": 2,
            "intermediate_size": 64,
        }
        if kind in {"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text"}:
            sizes["num_key_value_heads"] = 2
        sizes = SMALL[kind] if kind == "distilbert" else {**sizes, **SMALL.get(kind, {})}
        special = {"pad": 0, "bos": 2, "eos": 3, "mask": 4}
        sizes |= {f"{name}_token_id": place for name, place in special.items()}
        off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        config = AutoConfig.for_model(
            kind,
            vocab_size=len(tokenizer),
            max_position_embeddings=128,
            **{"initializer_range": 0.4, **sizes, **(off if kind == "bert" else {}), **options},
        )
        folder = tmp_path_factory.mktemp(kind)
        AutoModel.from_config(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        modules = [Transformer(str(folder), max_seq_length=48), Pooling(32, "mean")]
        return SentenceTransformer(
            modules=[*modules, Normalize()] if normalise else modules, device="cpu"
        ).eval()

    return build


@pytest.fixture(scope="session")
def prompted_model(tmp_path_factory):
    """The same weights with a prompt before queries and another before documents."""
    prompts = {"query": "query: ", "document": "document: "}
    return _make(tmp_path_factory.mktemp("prompted-model"), prompts=prompts)


@pytest.fixture(scope="session")
def tiny_encoder(tiny_model, tmp_path_factory):
    """The tiny model exported: folder that `load_encoder` reads."""
    from vecsmith.encode import export_encoder

    folder = tmp_path_factory.mktemp("tiny-encoder") / "encoder"
    export_encoder(tiny_model, folder, label="tiny")
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Sixty small Markdown documents that link to one another."""
    root = tmp_path_factory.mktemp("corpus")
    for number in range(60):
        thing, other = PARTS[number % len(PARTS)], PARTS[(number * 7 + 3) % len(PARTS)]
        name = f"{thing} model {number}"
        target = (number * 11 + 5) % 60
        link = f"[{PARTS[target % len(PARTS)]} model {target}](part{target}.md)"
        text = (
            f"# {name.title()}\n\nThe {name} joins a {other} to the main frame. It is of steel "
            f"number {number} and weighs {number * 3} grams. See also the {link}.\n\n"
            f"## Mounting the {thing} {number}\n\nTurn the {other} by {number} degrees until the "
            f"{thing} clicks. Use {number + 2} bolts, and tighten them crosswise with a wrench.\n\n"
            f"## Care of the {thing} {number}\n\nClean the {thing} every {number + 1} weeks with a "
            f"soft cloth; never use solvent near the {other}. Replace it when it is worn out.\n"
        )
        (root / f"part{number}.md").write_text(text, "utf-8")
    return root


@pytest.fixture(scope="session")
def tiny(tiny_model):
    """Folder of a random two-layer encoder of 32 dimensions."""
    return str(tiny_model)


@pytest.fixture(scope="session")
def command():
    """Run the command line in a process of its own."""

    def run(*words: object, wait: bool = True):
        environment = {**os.environ, "OMP_NUM_THREADS": "2", "TOKENIZERS_PARALLELISM": "false"}
        process = subprocess.Popen(
            [sys.executable, "-m", "vecsmith.cli", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        if not wait:
            return process
        out, err = process.communicate(timeout=240)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture(scope="session")
def built(corpus, tiny, command, tmp_path_factory):
    """An index with an adapted model, built once for all tests."""
    out = tmp_path_factory.mktemp("built") / "index"
    run = command(
        "build",
        corpus,
        "--out",
        out,
        "--model",
        tiny,
        "--steps",
        4,
        "--batch-size",
        16,
        "--backend",
        "f32",
        "--debug",
    )
    assert run.returncode == 0, run.stderr
    return out
