"""DupMAE and SMAE: their mathematics, who sees what, every architecture, trainer, files."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vecsmith.core import Budget, ConfigError, DataError, FitOptions, ModelError
from vecsmith.train import SMAE, DupMAE
from vecsmith.train.masked import (
    DecoderLayer,
    bag_of_words,
    bag_of_words_loss,
    mask_places,
    masked_lm_loss,
    visible_keys,
    vocabulary_maxima,
)

KINDS = ("bert", "roberta", "mpnet", "distilbert", "modernbert")
MENU = [(1, 8), (2, 16), (3, 32)]


def make(masked_folder, kind="bert", cls=DupMAE, *, head=False, **options):
    if cls is SMAE:
        options.setdefault("menu", MENU)
    return cls.from_pretrained(masked_folder(kind, head=head), max_length=32, **options)


def test_bag_of_words_loss_by_hand():
    rng = np.random.default_rng(0)
    logits, ids = rng.normal(size=(2, 5, 9)), np.array([[1, 5, 5, 7, 2], [1, 6, 2, 0, 0]])
    words = np.array([[-1, 0, 0, 1, -1], [-1, 0, -1, -1, -1]])
    attention = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    total = 0.0
    for b in range(2):
        u = [max(logits[b, t, v] for t in range(1, 5) if attention[b, t]) for v in range(9)]
        normal = math.log(sum(math.exp(x) for x in u))
        tokens = [ids[b, t] for t in range(5) if words[b, t] >= 0]
        total -= sum((u[v] - normal) / len(tokens) for v in set(tokens))
    weights = bag_of_words(torch.tensor(ids), torch.tensor(words), 9)
    maxima = vocabulary_maxima(torch.tensor(logits), torch.tensor(attention))
    got = bag_of_words_loss(maxima.double(), weights.double())
    assert got.item() == pytest.approx(total / 2, rel=1e-6)
    assert weights[0].nonzero()[:, 0].tolist() == [5, 7]


def test_maxima_have_gradients():
    logits = torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True)
    attention = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    assert torch.autograd.gradcheck(lambda x: vocabulary_maxima(x, attention), logits)


def test_nothing_hidden_is_no_loss():
    empty = masked_lm_loss(torch.zeros(0, 5, requires_grad=True), torch.zeros(0, dtype=torch.long))
    assert empty.item() == 0.0


def test_decoder_layer_equals_bert_layer(masked_folder):
    auto = make(masked_folder, "bert")
    layer = auto.encoder.encoder.layer[0].eval()
    ours = DecoderLayer(auto.encoder.config).eval()
    assert ours.copy_from(layer)
    x = torch.randn(2, 6, 32, generator=torch.Generator().manual_seed(0))
    visible = torch.ones(2, 1, 6, dtype=torch.bool)
    want = layer(x)
    want = want[0] if isinstance(want, tuple) else want
    torch.testing.assert_close(ours(x, x, visible), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["mpnet", "distilbert", "roberta"])
def test_first_layers_of_other_kinds_are_copied(masked_folder, kind):
    auto = make(masked_folder, kind, SMAE)
    weights = {tuple(p.flatten()[:3].tolist()) for p in auto.encoder.parameters()}
    assert tuple(auto.decoder.up.weight.flatten()[:3].tolist()) in weights
    assert tuple(auto.decoder.value.weight.flatten()[:3].tolist()) in weights


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cls", [DupMAE, SMAE])
def test_every_kind_trains(masked_folder, texts, kind, cls):
    auto = make(masked_folder, kind, cls)
    result = auto.fit(
        texts * 4,
        budget=Budget(steps=30),
        options=FitOptions(lr=5e-3, log_every=5, cpu=True),
        batch_size=16,
    )
    losses = [row["loss"] for row in result.records]
    assert losses[-1] < 0.8 * losses[0]
    assert set(auto.last_parts) >= {"encoder", "decoder"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", [False, True])
def test_saved_encoder_is_a_masked_language_model(masked_folder, texts, tmp_path, kind, head):
    from transformers import AutoModelForMaskedLM

    auto = make(masked_folder, kind, head=head).eval()
    torch.manual_seed(1)
    torch.nn.init.normal_(auto.head.dense.weight, std=0.3)
    auto.save_encoder(tmp_path / "encoder")
    plain, info = AutoModelForMaskedLM.from_pretrained(
        tmp_path / "encoder", output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    features = auto.model.preprocess(texts)
    batch = {k: v for k, v in features.items() if k in {"input_ids", "attention_mask"}}
    states = auto.encoder(**batch).last_hidden_state
    want = plain.eval()(**batch).logits
    got = auto.head(states, auto._words())
    keep = batch["attention_mask"].bool()
    torch.testing.assert_close(got[keep], want[keep], rtol=1e-4, atol=1e-4)
    again = DupMAE.from_pretrained(tmp_path / "encoder")
    torch.testing.assert_close(again.head.dense.weight, auto.head.dense.weight)


def test_head_of_a_checkpoint_is_taken_and_a_missing_one_is_the_identity(masked_folder):
    from transformers import AutoModelForMaskedLM

    trained = make(masked_folder, "bert", head=True)
    want = AutoModelForMaskedLM.from_pretrained(masked_folder("bert", head=True))
    torch.testing.assert_close(
        trained.head.dense.weight, want.cls.predictions.transform.dense.weight
    )
    built = make(masked_folder, "bert")
    assert torch.equal(built.head.dense.weight, torch.eye(32))


def test_decoder_shows_no_row_its_own_token(masked_folder, texts):
    auto = make(masked_folder).eval()
    features = auto.model.preprocess(texts)
    ids, attention = features["input_ids"], features["attention_mask"]
    words = auto.masker.words(ids, attention)
    visible = visible_keys(words, attention, 0.5, generator=torch.Generator().manual_seed(2))
    center = torch.randn(len(ids), 32)
    before = auto.decode(center, ids, visible)
    for place in range(1, 8):
        changed = ids.clone()
        changed[:, place] = int(auto.masker.ordinary[11])
        moved = (auto.decode(center, changed, visible) - before).abs().sum(-1) > 1e-7
        assert not (moved & ~visible[:, :, place]).any()
        assert not moved[:, place].any()
        assert moved.any()
    # c reaches every row, as a key too: position 0 is read beside the query
    assert ((auto.decode(center + 1, ids, visible) - before).abs().sum(-1) > 1e-6).all()


def test_center_is_a_key(masked_folder, texts):
    auto = make(masked_folder).eval()
    features = auto.model.preprocess(texts)
    ids = features["input_ids"]
    kept = {}
    auto.decoder.register_forward_pre_hook(lambda m, args: kept.update(keys=args[1]))
    center = torch.randn(len(ids), 32)
    auto.decode(center, ids, torch.ones(len(ids), ids.shape[1], ids.shape[1], dtype=torch.bool))
    torch.testing.assert_close(kept["keys"][:, 0], center)


@pytest.mark.parametrize("cut", ["keys", "queries"])
def test_gradient_reaches_the_center_by_each_way(masked_folder, texts, cut):
    auto = make(masked_folder).eval()
    features = auto.model.preprocess(texts)
    ids = features["input_ids"]

    def block(module, args):
        queries, keys, visible = args
        detached = (queries.detach(), keys, visible) if cut == "queries" else None
        return detached or (queries, keys.detach(), visible)

    auto.decoder.register_forward_pre_hook(block)
    center = torch.randn(len(ids), 32, requires_grad=True)
    visible = torch.ones(len(ids), ids.shape[1], ids.shape[1], dtype=torch.bool)
    # what comes out is normalised: a plain sum of squares would have no gradient
    decoded = auto.decode(center, ids, visible)
    (decoded * torch.randn_like(decoded)).sum().backward()
    assert (center.grad.abs().sum(1) > 1e-3).all()


def test_decoder_gradient_reaches_the_encoder(masked_folder, texts):
    auto = make(masked_folder, bow_weight=0.0)
    features = auto.model.preprocess(texts)
    auto.parts(features)["decoder"].backward()
    gradient = auto.encoder.encoder.layer[-1].output.dense.weight.grad
    assert gradient is not None and gradient.abs().sum() > 0


def test_weight_zero_is_retromae(masked_folder, texts):
    both = make(masked_folder, bow_weight=0.3, seed=4)
    one = make(masked_folder, bow_weight=0.0, seed=4)
    features = both.model.preprocess(texts)
    values = []
    for auto in (both, one):
        torch.manual_seed(7)
        auto([features])
        values.append(auto.last_parts)
    assert "bag_of_words" not in values[1]
    for name in ("encoder", "decoder"):
        torch.testing.assert_close(values[0][name], values[1][name])


def test_bag_is_of_the_unmasked_text(masked_folder, texts, monkeypatch):
    auto = make(masked_folder, enc_mask=0.9, bow_weight=1.0)
    seen = {}
    import vecsmith.train.masked._dupmae as module

    def spy(ids, words, vocabulary):
        seen["ids"] = ids
        return bag_of_words(ids, words, vocabulary)

    monkeypatch.setattr(module, "bag_of_words", spy)
    features = auto.model.preprocess(texts)
    auto([features])
    assert torch.equal(seen["ids"], features["input_ids"])


def test_encoder_sees_masks_and_decoder_does_not(masked_folder, texts):
    auto = make(masked_folder, enc_mask=0.9)
    features = auto.model.preprocess(texts)
    fed = []
    auto.model.register_forward_pre_hook(lambda m, args: fed.append(args[0]["input_ids"]))
    torch.manual_seed(0)
    auto([features])
    assert (fed[0] == auto.masker.mask_id).float().mean() > 0.3


def test_sentence_bottleneck_takes_the_models_embedding(masked_folder, texts):
    auto = make(masked_folder, bottleneck="sentence", bow_weight=0.0)
    from sentence_transformers.sentence_transformer.modules import Pooling

    auto.model[1] = Pooling(32, "mean")
    features = auto.model.preprocess(texts)
    kept = []
    auto.decode, plain = lambda *args: kept.append(args[0]) or plain(*args), auto.decode
    torch.manual_seed(0)
    auto([features])
    mean_pooled = kept[0]
    torch.manual_seed(0)
    words = auto.masker.words(features["input_ids"], features["attention_mask"])
    hidden = mask_places(words) < auto.enc_mask
    ids = auto.masker.corrupt(features["input_ids"], hidden)
    want = auto.model({**features, "input_ids": ids})["sentence_embedding"]
    torch.testing.assert_close(mean_pooled, want)


def test_smae_equals_hand_made_terms(masked_folder, texts):
    auto = make(masked_folder, "bert", SMAE).eval()
    features = auto.model.preprocess(texts)
    ids, attention = features["input_ids"], features["attention_mask"]
    torch.manual_seed(3)
    got = auto.parts(features)
    torch.manual_seed(3)
    places = mask_places(auto.masker.words(ids, attention))
    few, many = places < 0.2, places < 0.4
    assert not (few & ~many).any()
    seen, told = auto.masker.corrupt(ids, few), auto.masker.corrupt(ids, many)
    base, head = auto.encoder, auto.head
    states = base(seen, attention_mask=attention, output_hidden_states=True).hidden_states
    words = base.embeddings.word_embeddings.weight
    parts = {"encoder": [], "decoder": []}
    for n, d in MENU:
        cut = torch.zeros_like(states[n])
        cut[:, :, :d] = states[n][:, :, :d]
        t = head.norm(F.gelu(head.dense(cut)))
        logits = t @ words.T + head.bias
        parts["encoder"].append(F.cross_entropy(logits[few], ids[few]))
        inputs = base.embeddings(told)
        inputs[:, 0] = t[:, 0]
        layer = base.encoder.layer[0]
        wide = (1.0 - attention[:, None, None].float()) * torch.finfo(torch.float32).min
        y = layer(inputs, wide)
        y = y[0] if isinstance(y, tuple) else y
        logits = head.norm(F.gelu(head.dense(y))) @ words.T + head.bias
        parts["decoder"].append(F.cross_entropy(logits[many], ids[many]))
    for name, terms in parts.items():
        torch.testing.assert_close(got[name], torch.stack(terms).mean() / 2, rtol=1e-4, atol=1e-5)


def test_smae_decoder_sees_no_encoder_states(masked_folder, texts):
    auto = make(masked_folder, "bert", SMAE).eval()
    features = auto.model.preprocess(texts)
    inputs = auto._embedded(features["input_ids"])
    center = torch.zeros(len(texts), 32)
    poisoned = inputs.clone()
    poisoned[:, 0] = 9.0
    first = auto.decode(center, inputs, features["attention_mask"])
    again = auto.decode(center, poisoned, features["attention_mask"])
    torch.testing.assert_close(first, again)


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_smae_states_are_those_of_cut_models(masked_folder, texts, kind):
    auto = make(masked_folder, kind, SMAE).eval()
    features = auto.model.preprocess(texts)
    states = auto._layers(features, features["input_ids"])
    small = copy.deepcopy(auto.encoder)
    layers = small.encoder.layer if kind == "bert" else small.layers
    del layers[2:]
    small.config.num_hidden_layers = 2
    batch = {k: features[k] for k in ("input_ids", "attention_mask")}
    keep = batch["attention_mask"].bool()
    want = small(**batch).last_hidden_state
    torch.testing.assert_close(states[2][keep], want[keep], rtol=1e-4, atol=1e-5)
    assert auto.encoder.config.output_hidden_states is not True


@pytest.mark.parametrize("cls", [DupMAE, SMAE])
def test_runs_in_the_host_trainer(masked_folder, texts, tmp_path, cls):
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )

    model = SentenceTransformer(str(masked_folder("bert")), device="cpu")
    loss = cls(model, **({"menu": MENU} if cls is SMAE else {}))
    before = {name: p.detach().clone() for name, p in loss.named_parameters()}
    arguments = SentenceTransformerTrainingArguments(
        str(tmp_path),
        max_steps=4,
        per_device_train_batch_size=4,
        learning_rate=1e-2,
        report_to="none",
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict({"text": texts * 4}),
        loss=loss,
    )
    trainer.train()
    moved = {n for n, p in loss.named_parameters() if not torch.equal(p.detach(), before[n])}
    for name in ("head.dense.weight", "decoder.query.weight"):
        assert name in moved
    assert any(name.startswith("model.") for name in moved)


def test_same_seed_same_training(masked_folder, texts):
    ends = []
    for _ in range(2):
        auto = make(masked_folder, seed=3)
        auto.fit(
            texts,
            budget=Budget(steps=3),
            options=FitOptions(lr=1e-3, seed=5, cpu=True),
            batch_size=2,
        )
        ends.append(auto.head.dense.weight.detach().clone())
    assert torch.equal(*ends)


def test_padding_does_not_matter(masked_folder, texts, monkeypatch):
    import vecsmith.train.masked._dupmae as module

    auto = make(masked_folder, bow_weight=0.5).eval()
    # random masks depend on the padded length; fixed ones do not
    monkeypatch.setattr(
        module, "mask_places", lambda words: torch.where(words == 1, 0.1, 0.9) + 9.0 * (words < 0)
    )
    monkeypatch.setattr(
        module,
        "visible_keys",
        lambda words, attention, share: (
            attention.bool()[:, None] & ~torch.eye(words.shape[1], dtype=torch.bool)
        ).index_fill(2, torch.tensor([0]), True),
    )
    monkeypatch.setattr(
        auto.masker, "corrupt", lambda ids, hidden: torch.where(hidden, auto.masker.mask_id, ids)
    )
    alone = auto.parts(auto.model.preprocess([texts[2]]))
    features = auto.model.preprocess([texts[2], texts[3]])
    padded = auto.parts({k: v[:1] for k, v in features.items() if torch.is_tensor(v)})
    for name, value in alone.items():
        torch.testing.assert_close(padded[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"enc_mask": 1.0}, "enc_mask"),
        ({"dec_mask": 0.0}, "dec_mask"),
        ({"bow_weight": -1.0}, "bow_weight"),
        ({"bottleneck": "mean"}, "bottleneck"),
    ],
)
def test_bad_settings_are_refused(masked_folder, options, match):
    with pytest.raises(ConfigError, match=match):
        make(masked_folder, **options)


@pytest.mark.parametrize(
    "options",
    [{"menu": []}, {"menu": [(4, 8)]}, {"menu": [(1, 64)]}, {"enc_mask": 0.5, "dec_mask": 0.4}],
)
def test_bad_menus_are_refused(masked_folder, options):
    with pytest.raises(ConfigError):
        make(masked_folder, "bert", SMAE, **options)


def test_models_that_are_not_fit_are_refused(masked_folder, tmp_path, texts):
    import transformers as t
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    tokenizer = t.AutoTokenizer.from_pretrained(masked_folder("bert"))
    static = StaticEmbedding(tokenizer.backend_tokenizer, embedding_dim=8)
    with pytest.raises(ModelError, match="Transformer"):
        DupMAE(SentenceTransformer(modules=[static], device="cpu"))
    config = t.ElectraConfig(
        vocab_size=len(tokenizer),
        embedding_size=16,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
    )
    t.ElectraModel(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="32 dimensions"):
        DupMAE.from_pretrained(tmp_path)
    auto = make(masked_folder)
    with pytest.raises(DataError, match="text column"):
        auto([])
    with pytest.raises(DataError, match="at least one"):
        auto.fit([], budget=Budget(steps=1))
