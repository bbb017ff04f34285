"""Language models as embedders: the mask, ends of texts, adapters, files, official weights."""

import json

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, ModelError
from vecsmith.train import LLMEmbedder, instruct, load_nv_embed, set_bidirectional
from vecsmith.train._llm_embedder import sees_ahead

TEXTS = ["a valve opens", "the pump", "a motor stops when the valve opens again"]


@pytest.fixture(scope="module", params=["llama", "qwen2", "mistral"])
def llm(request, tmp_path_factory):
    """Folder of a random two-layer decoder with a byte tokenizer that does not end texts."""
    return build(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return build("llama", tmp_path_factory.mktemp("one-llama"))


def build(kind, folder, merges=(), **options):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|endoftext|>": 0, **{c: i + 1 for i, c in enumerate(alphabet)}}
    vocabulary |= {a + b: len(vocabulary) + i for i, (a, b) in enumerate(merges)}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|endoftext|>", padding_side="left"
    )
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
        max_position_embeddings=128,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
        **{"num_hidden_layers": 2, **options},
    )
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_only_without_the_mask_the_first_token_sees_the_last(llm):
    causal = LLMEmbedder.from_pretrained(llm, pooling="mean", bidirectional=False)
    both = LLMEmbedder.from_pretrained(llm, pooling="mean")
    assert not sees_ahead(causal.transformer.model)
    assert sees_ahead(both.transformer.model)
    set_bidirectional(both.transformer.model, False)
    assert not sees_ahead(both.transformer.model)


WINDOWED = {
    "mistral": {},
    "qwen2": {"use_sliding_window": True, "max_window_layers": 0},
    "gemma2": {"head_dim": 8},
    "gemma3_text": {"head_dim": 8, "sliding_window_pattern": 2},
}


@pytest.mark.parametrize(
    ("kind", "attention"),
    # Gemma 2 knows no other
    [*((kind, "eager") for kind in WINDOWED), *((k, "sdpa") for k in WINDOWED if k != "gemma2")],
)
def test_windows_go_with_the_mask(kind, attention, tmp_path):
    folder = build(kind, tmp_path, sliding_window=5, num_hidden_layers=1, **WINDOWED[kind])
    embedder = LLMEmbedder.from_pretrained(
        folder, pooling="mean", model_kwargs={"attn_implementation": attention}
    )

    def changed(model):
        """States that the last token changes; in one layer nothing gets there by a detour."""
        ids = torch.arange(3, 33)[None].repeat(2, 1)
        ids[1, -1] = 50
        with torch.no_grad():
            one, two = model.eval()(ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        return (one - two).abs().amax(1) > 0

    model = embedder.transformer.model
    assert changed(model).all()
    embedder.as_sentence_transformer().save_pretrained(str(tmp_path / "m"), create_model_card=False)
    again = LLMEmbedder.from_pretrained(tmp_path / "m", pooling="mean").transformer.model
    assert changed(again).all()
    set_bidirectional(model, False)
    assert model.config.sliding_window == 5 and changed(model).sum() == 1


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_padding_stays_masked(llama, attention):
    one = LLMEmbedder.from_pretrained(
        llama, pooling="mean", model_kwargs={"attn_implementation": attention}
    ).as_sentence_transformer()
    np.testing.assert_allclose(
        one.encode(TEXTS, batch_size=1), one.encode(TEXTS, batch_size=3), atol=1e-5
    )


def test_a_model_that_ignores_the_switch_is_refused(llama, monkeypatch):
    import vecsmith.train._llm_embedder as module

    monkeypatch.setattr(module, "sees_ahead", lambda model: False)
    with pytest.raises(ModelError, match="ignores"):
        LLMEmbedder.from_pretrained(llama, pooling="mean")


def test_texts_end_once_and_pad_on_the_right(llm):
    tokenizer = LLMEmbedder.from_pretrained(llm, pooling="mean").transformer.tokenizer
    batch = tokenizer(TEXTS, padding=True)
    for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
        length = sum(mask)
        assert mask[:length] == [1] * length
        assert ids[length - 1] == 0 and 0 not in ids[: length - 1]


def test_a_start_token_stays(llama, tmp_path):
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    from vecsmith.train._llm_embedder import end_texts

    tokenizer = AutoTokenizer.from_pretrained(llama)
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    start = tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", start)]
    )
    assert tokenizer("ab")["input_ids"][0] == start
    end_texts(tokenizer)
    tokenizer.save_pretrained(tmp_path)
    for one in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        ids = one("ab")["input_ids"]
        assert len(ids) == 4 and ids[0] == start and ids[-1] == one.eos_token_id


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_plain_poolings_load_without_vecsmith(llm, tmp_path, pooling):
    from sentence_transformers import SentenceTransformer

    embedder = LLMEmbedder.from_pretrained(llm, pooling=pooling)
    model = embedder.as_sentence_transformer()
    want = model.encode(TEXTS)
    model.save_pretrained(str(tmp_path / "m"), create_model_card=False)
    assert "vecsmith" not in (tmp_path / "m" / "modules.json").read_text("utf-8")
    again = SentenceTransformer(str(tmp_path / "m"), device="cpu")
    assert sees_ahead(again[0].model)
    np.testing.assert_allclose(again.encode(TEXTS), want, atol=1e-6)


def test_instruction_is_read_but_not_pooled(llama):
    model = LLMEmbedder.from_pretrained(llama, pooling="mean").as_sentence_transformer()
    prompt = instruct("Find parts")
    got = model.encode(["a valve"], prompt=prompt)[0]
    features = model.preprocess([prompt + "a valve"])
    with torch.no_grad():
        states = model[0](features)["token_embeddings"][0]
    length = len(prompt.rstrip())  # one token a byte; the last space is the text's
    pooled = states[length:].mean(0)
    np.testing.assert_allclose(got, (pooled / pooled.norm()).numpy(), atol=1e-5)
    # attended to: without it the states differ
    assert np.abs(got - model.encode(["a valve"])[0]).max() > 1e-3


def test_only_adapters_and_pooling_train_and_merging_changes_nothing(llama, tmp_path):
    from sentence_transformers import SentenceTransformer

    torch.manual_seed(0)
    embedder = LLMEmbedder.from_pretrained(llama, pooling="latent", lora={"r": 4})
    model = embedder.as_sentence_transformer()
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert any("lora_" in n for n in trained)
    assert all("lora_" in n or n.startswith("1.") for n in trained)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    model.eval()
    want = model.encode(TEXTS)
    embedder.merge_lora()
    assert not [n for n, _ in model.named_parameters() if "lora_" in n]
    np.testing.assert_allclose(model.encode(TEXTS), want, atol=1e-4)
    model.save_pretrained(str(tmp_path / "m"), create_model_card=False)
    again = SentenceTransformer(str(tmp_path / "m"), device="cpu", trust_remote_code=True)
    np.testing.assert_allclose(again.encode(TEXTS), want, atol=1e-4)


def shaken(folder, **options):
    """An embedder with adapters that do something."""
    torch.manual_seed(0)
    embedder = LLMEmbedder.from_pretrained(folder, lora={"r": 4, "lora_dropout": 0.0}, **options)
    model = embedder.as_sentence_transformer()
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    return model.eval()


@pytest.mark.parametrize("pooling", ["latent", "mean"])
def test_adapters_are_saved_merged_and_stay(llama, tmp_path, pooling):
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel

    model = shaken(llama, pooling=pooling)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    want = model.encode(TEXTS, prompt=instruct("Find"))
    model.save_pretrained(str(tmp_path / "m"), create_model_card=False)
    # the folder is that of a plain model, and the trained one is as it was
    names = set(AutoModel.from_pretrained(tmp_path / "m").state_dict())
    assert names == set(AutoModel.from_pretrained(llama).state_dict())
    assert all((value == before[name]).all() for name, value in model.state_dict().items())
    assert before.keys() == model.state_dict().keys()
    again = SentenceTransformer(str(tmp_path / "m"), device="cpu", trust_remote_code=True)
    assert not [name for name, _ in again.named_parameters() if "lora_" in name]
    if pooling == "mean":
        assert "vecsmith" not in (tmp_path / "m" / "modules.json").read_text("utf-8")
        again = LLMEmbedder(again[0], pooling=again[1]).as_sentence_transformer()
    np.testing.assert_allclose(again.encode(TEXTS, prompt=instruct("Find")), want, atol=1e-4)


def arguments(folder, **options):
    from sentence_transformers import SentenceTransformerTrainingArguments

    return SentenceTransformerTrainingArguments(
        str(folder),
        per_device_train_batch_size=2,
        report_to="none",
        use_cpu=True,
        logging_strategy="no",
        disable_tqdm=True,
        learning_rate=1e-2,
        lr_scheduler_type="constant",
        **options,
    )


@pytest.mark.parametrize("pooling", ["latent", "mean"])
def test_a_trainer_resumes_from_its_checkpoint(llama, tmp_path, pooling):
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer

    from vecsmith.train import ContrastiveLoss

    data = Dataset.from_dict({"a": [f"part {i}" for i in range(8)], "b": list("abcdefgh")})

    def run(steps, resume=None):
        model = shaken(llama, pooling=pooling)
        args = arguments(tmp_path / "run", max_steps=steps, save_steps=2, seed=1)
        trainer = SentenceTransformerTrainer(
            model=model, args=args, train_dataset=data, loss=ContrastiveLoss(model)
        )
        trainer.train(resume_from_checkpoint=resume)
        return dict(model.state_dict())

    whole = run(4)
    resumed = run(4, str(tmp_path / "run" / "checkpoint-2"))
    assert whole.keys() == resumed.keys()
    moved = shaken(llama, pooling=pooling).state_dict()
    assert any((whole[n] != moved[n]).any() for n in whole if "lora_A" in n)
    for name, value in whole.items():
        np.testing.assert_allclose(resumed[name], value, atol=1e-5, err_msg=name)


def test_small_steps_are_not_rounded_away(llama):
    model = shaken(llama, pooling="latent", model_kwargs={"dtype": torch.bfloat16})
    kinds = {n: p.dtype for n, p in model.named_parameters() if p.requires_grad}
    assert set(kinds.values()) == {torch.float32}
    assert model[0].model.layers[0].mlp.up_proj.base_layer.weight.dtype == torch.bfloat16
    features = model.preprocess(TEXTS)
    for autocast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = model(dict(features))["sentence_embedding"]
        model.zero_grad()
        out[:, 0].sum().backward()
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_the_first_word_after_an_instruction_is_pooled(tmp_path):
    """Its token carries the space that the instruction ends with."""
    folder = build("llama", tmp_path, merges=[("c", "a"), ("ca", "t"), ("Ġ", "cat")])
    model = LLMEmbedder.from_pretrained(folder, pooling="mean").as_sentence_transformer()
    prompt = instruct("Find")
    features = model.preprocess(["cat"], prompt=prompt)
    tokens = model.tokenizer.convert_ids_to_tokens(features["input_ids"][0])
    assert tokens[features["prompt_length"] :] == ["Ġcat", "<|endoftext|>"]


def test_texts_are_no_messages(tmp_path):
    from sentence_transformers import SentenceTransformer
    from transformers import AutoTokenizer

    folder = build("llama", tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = (
        "{% for m in messages %}system: be kind. {{ m['content'] }}{% endfor %}"
    )
    tokenizer.save_pretrained(folder)
    model = LLMEmbedder.from_pretrained(
        folder, pooling="mean", max_length=8
    ).as_sentence_transformer()
    ids = model.preprocess(["a b"])["input_ids"][0].tolist()
    assert len(ids) == 4 and ids[-1] == 0
    want = model.encode(TEXTS)
    assert np.abs(want[0] - want[1]).max() > 1e-3
    model.save_pretrained(str(tmp_path / "m"), create_model_card=False)
    again = SentenceTransformer(str(tmp_path / "m"), device="cpu")
    np.testing.assert_allclose(again.encode(TEXTS), want, atol=1e-6)


def test_layers_are_cut(llama):
    one = LLMEmbedder.from_pretrained(llama, pooling="mean", layers=1)
    assert len(one.transformer.model.layers) == 1
    with pytest.raises(ConfigError, match="between 1 and 2"):
        LLMEmbedder.from_pretrained(llama, pooling="mean", layers=3)


def test_bad_input_is_refused(llama, tmp_path):
    with pytest.raises(ConfigError, match="pooling"):
        LLMEmbedder.from_pretrained(llama, pooling="max")
    with pytest.raises(ModelError, match="NV-Embed"):
        load_nv_embed(llama)


def test_official_weights_are_read(tmp_path):
    from safetensors.torch import save_file
    from transformers import AutoModel, AutoTokenizer

    from vecsmith.encode import LatentAttentionPooling

    folder = build("mistral", tmp_path)
    model = AutoModel.from_pretrained(folder)
    torch.manual_seed(5)
    pooling = LatentAttentionPooling(32, latents=6, heads=2, head_dim=8)
    block = "latent_attention_model.cross_attend_blocks"
    names = {
        "dictionary": "latent_attention_model.latents",
        "norm.weight": f"{block}.0.norm.weight",
        "norm.bias": f"{block}.0.norm.bias",
        "dictionary_norm.weight": f"{block}.0.norm_context.weight",
        "dictionary_norm.bias": f"{block}.0.norm_context.bias",
        "to_q.weight": f"{block}.0.fn.to_q.weight",
        "to_kv.weight": f"{block}.0.fn.to_kv.weight",
        "to_out.weight": f"{block}.0.fn.to_out.weight",
        "ff_norm.weight": f"{block}.1.norm.weight",
        "ff_norm.bias": f"{block}.1.norm.bias",
        "up.weight": f"{block}.1.fn.net.0.weight",
        "up.bias": f"{block}.1.fn.net.0.bias",
        "down.weight": f"{block}.1.fn.net.2.weight",
        "down.bias": f"{block}.1.fn.net.2.bias",
    }
    state = {names[k]: v.contiguous() for k, v in pooling.state_dict().items()}
    state |= {f"embedding_model.{k}": v.contiguous() for k, v in model.state_dict().items()}
    save_file(state, str(folder / "model.safetensors"))
    text = json.loads((folder / "config.json").read_text("utf-8"))
    text["model_type"] = "bidir_mistral"
    sizes = {"latent_dim": 32, "num_latents_value": 6, "num_cross_heads": 2, "cross_dim_head": 8}
    config = {"model_type": "nvembed", "text_config": text, "latent_attention_config": sizes}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    loaded = load_nv_embed(folder)
    assert sees_ahead(loaded[0].model)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor([[*tokenizer(TEXTS[0])["input_ids"], 0]])
    set_bidirectional(model)
    with torch.no_grad():
        states = model(ids).last_hidden_state
        pooled = pooling.attend(states).mean(1)[0]
    np.testing.assert_allclose(
        loaded.encode(TEXTS[:1])[0], (pooled / pooled.norm()).numpy(), atol=1e-5
    )
