"""Tiny random masked models of several architectures, with tokenizers of several kinds."""

import pytest
import torch

TEXTS = [
    "The valve opens slowly, and the pump stops.",
    "Unbelievable: seizures disappear!",
    "A motor.",
    "Headache and fever, then a rash on the arm; nothing else was seen.",
]


def bert_tokenizer(folder):
    from transformers import BertTokenizerFast

    pieces = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    words = (
        "the valve pump motor opens stops and a fever rash arm un ##believ ##able ##s head ##ache"
    )
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]
    vocabulary += ["##" + piece for piece in pieces] + words.split()
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(vocabulary)), "utf-8")
    return BertTokenizerFast(str(folder / "vocab.txt"))


def byte_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    inner.train_from_iterator(TEXTS * 3, trainer)
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        padding_side="right",
    )


def configured(kind, size):
    import transformers as t

    common = {"vocab_size": size, "hidden_size": 32, "num_hidden_layers": 3}
    common |= {"num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 80}
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    if kind == "bert":
        return t.BertConfig(**common, **quiet, initializer_range=0.2)
    if kind == "roberta":
        return t.RobertaConfig(**common, **quiet, pad_token_id=1, initializer_range=0.2)
    if kind == "mpnet":
        return t.MPNetConfig(**common, **quiet, pad_token_id=1)
    if kind == "distilbert":
        return t.DistilBertConfig(
            vocab_size=size,
            dim=32,
            n_layers=3,
            n_heads=2,
            hidden_dim=64,
            dropout=0.0,
            attention_dropout=0.0,
            max_position_embeddings=80,
        )
    return t.ModernBertConfig(
        **common,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        cls_token_id=0,
        sep_token_id=2,
        global_attn_every_n_layers=2,
    )


@pytest.fixture(scope="session")
def masked_folder(tmp_path_factory):
    """Folder of a tiny checkpoint: bert, roberta, mpnet, distilbert or modernbert."""
    made = {}

    def build(kind="bert", *, head=False):
        from transformers import AutoModel, AutoModelForMaskedLM

        if (kind, head) not in made:
            folder = tmp_path_factory.mktemp(kind)
            wordpiece = kind in {"bert", "distilbert"}
            tokenizer = bert_tokenizer(folder) if wordpiece else byte_tokenizer()
            torch.manual_seed(0)
            maker = AutoModelForMaskedLM if head else AutoModel
            maker.from_config(configured(kind, len(tokenizer))).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            made[kind, head] = folder
        return made[kind, head]

    return build


@pytest.fixture(scope="session")
def texts():
    return TEXTS
