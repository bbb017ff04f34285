"""What several rooms share: a random encoder small enough that nothing heavy runs."""

import pytest

WORDS = (
    "a the is of to in and how open close file door read write valve pump filter sensor cable "
    "panel motor switch boiler paint colour red blue green query document run ##s ##ed ##ing"
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
