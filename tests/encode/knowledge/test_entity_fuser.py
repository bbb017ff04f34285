"""Fusion: layouts token by token, places, windows, grown tables, gradients, saving."""

import numpy as np
import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError, ModelError
from vecsmith.encode import quiet_hosts
from vecsmith.encode.knowledge import (
    LAYOUTS,
    DefinitionVectors,
    DictionaryLinker,
    EntityFuser,
    EntitySpan,
    grow_embeddings,
    matched_random,
    mean_vectors,
)

NAMES = {"m": "Marfan syndrome", "h": "large head", "zh": "发热", "none": "fever"}
VECTORS = {key: np.full(16, i + 1.0, np.float32) for i, key in enumerate(("m", "h", "zh"))}
QUESTION = "Is Large  head seen in the MARFAN syndrome of fever?"


@pytest.fixture(params=["bert", "roberta"])
def folder(request):
    return request.getfixturevalue(request.param)


def fuser_of(folder, layout="dekcor"):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    linker = DictionaryLinker(NAMES)
    return EntityFuser(tokenizer, linker=linker, vectors=VECTORS, layout=layout)


def tokens(fuser, window):
    return fuser.tokenizer.convert_ids_to_tokens(window.input_ids)


def test_layouts_token_by_token(bert):
    question = "is large head marfan syndrome"
    marks = {key: f"\ue000{key}\ue001" for key in NAMES}
    words = question.split()
    wanted = {
        "plain": ["[CLS]", *words, "[SEP]"],
        "bertram": [
            "[CLS]",
            *words[:3],
            "/",
            marks["h"],
            "/",
            *words[3:],
            "/",
            marks["m"],
            "/",
            "[SEP]",
        ],
        "dekcor": ["[CLS]", *words, "[SEP]", marks["h"], marks["m"], "[SEP]"],
        "replace": ["[CLS]", "is", marks["h"], marks["m"], "[SEP]"],
    }
    assert set(wanted) == set(LAYOUTS)
    for layout, expected in wanted.items():
        fuser = fuser_of(bert, layout)
        (window,) = fuser.encode(question)
        assert tokens(fuser, window) == expected
        (window,) = fuser.encode(question, "why pain")
        assert tokens(fuser, window) == [*expected, "why", "pain", "[SEP]"]
        inside = len(expected)
        assert window.token_type_ids == [0] * inside + [1] * 3
        assert [tokens(fuser, window)[i] for i in window.entities] == (
            [] if layout == "plain" else [marks["h"], marks["m"]]
        )


def test_plain_inputs_are_the_tokenizers_own(folder):
    fuser = fuser_of(folder, "plain")
    own = transformers.AutoTokenizer.from_pretrained(folder)
    context = "Why pain; the FEVER of über-Marfan, 发热"
    for pair in ((QUESTION,), (QUESTION, context)):
        (window,) = fuser.encode(*pair)
        expected = own(*pair)
        assert window.input_ids == expected["input_ids"]
        if "token_type_ids" in expected:
            assert window.token_type_ids == expected["token_type_ids"]


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_places_point_into_the_texts_as_given(folder, layout):
    fuser = fuser_of(folder, layout)
    context = "Fever\u200b is  großer 头痛 ＰＡＩＮ; naïve Marfan."
    plain = fuser_of(folder, "plain").encode(QUESTION, context)[0]
    (window,) = fuser.encode(QUESTION, context)
    assert [o for o in window.offsets if o] == [o for o in plain.offsets if o]
    start = next(i for i, o in enumerate(window.offsets) if o)
    for place in window.entities:
        first, last = window.question_offsets[place]
        assert QUESTION[first:last] in ("Large  head", "MARFAN syndrome")
    assert window.offsets[:start] == [None] * start
    assert window.offsets[-1] is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.text(min_size=1, max_size=80), st.integers(1, 12))
def test_windows_hold_every_token_of_the_context(bert, context, stride):
    fuser = fuser_of(bert)
    length = len(fuser.encode(QUESTION, "")[0].input_ids) + 12
    windows = fuser.encode(QUESTION, context, max_length=length, stride=stride)
    whole = fuser.encode(QUESTION, context, max_length=10_000)[0]
    wanted = [(i, o) for i, o in zip(whole.input_ids, whole.offsets, strict=True) if o]
    found = [[(i, o) for i, o in zip(w.input_ids, w.offsets, strict=True) if o] for w in windows]
    assert all(len(w.input_ids) <= length for w in windows)
    assert [row for part in found for row in part if row in wanted] == [r for p in found for r in p]
    assert set(wanted) <= {row for part in found for row in part}


def test_an_entity_that_comes_twice_is_appended_once(bert):
    fuser = fuser_of(bert)
    question = "large head marfan syndrome large head"
    (window,) = fuser.encode(question)
    found = [window.input_ids[place] for place in window.entities]
    assert found == [fuser.token_ids["h"], fuser.token_ids["m"]]
    assert [window.question_offsets[place] for place in window.entities] == [(0, 10), (11, 26)]


def test_a_token_under_two_mentions_belongs_to_the_first(bert):
    class Halves:
        def link(self, text):
            return [EntitySpan(4, 8, "synd", "m", "m"), EntitySpan(8, 12, "rome", "h", "h")]

    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    for layout, wanted in (("dekcor", ["m"]), ("replace", ["m"]), ("bertram", ["m"])):
        fuser = EntityFuser(tokenizer, linker=Halves(), vectors=VECTORS, layout=layout)
        (window,) = fuser.encode("why syndrome")
        found = [window.input_ids[place] for place in window.entities]
        assert found == [fuser.token_ids[key] for key in wanted]


def test_the_tokenizer_that_was_given_stays_as_it_was(bert):
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    size = len(tokenizer)
    tokenizer.backend_tokenizer.enable_truncation(2)
    tokenizer.backend_tokenizer.enable_padding(length=20)
    linker = DictionaryLinker(NAMES)
    fuser = EntityFuser(tokenizer, linker=linker, vectors=VECTORS)
    assert len(tokenizer) == size and len(fuser.tokenizer) == size + len(VECTORS)
    assert fuser.encode(QUESTION, "why pain") == fuser_of(bert).encode(QUESTION, "why pain")


def test_ids_that_read_alike_have_tokens_of_their_own(bert):
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    vectors = {1: np.ones(16), "1": np.zeros(16)}
    linker = DictionaryLinker({1: "pain", "1": "fever"})
    fuser = EntityFuser(tokenizer, linker=linker, vectors=vectors)
    (window,) = fuser.encode("fever")
    assert len(set(fuser.token_ids.values())) == 2
    assert [window.input_ids[place] for place in window.entities] == [fuser.token_ids["1"]]


def test_batches_are_padded_with_the_tokenizers_own(folder):
    fuser = fuser_of(folder)
    windows = [*fuser.encode("why"), *fuser.encode(QUESTION)]
    made = fuser.collate(windows)
    short = len(windows[0].input_ids)
    pad = fuser.tokenizer.pad_token_id
    assert (made["input_ids"][0, short:] == pad).all()
    assert made["attention_mask"].sum(1).tolist() == [short, len(windows[1].input_ids)]


def test_no_window_is_needless(bert):
    fuser = fuser_of(bert, "plain")
    context = "pain " * 20
    # 8 tokens of context a window, 4 on: 0, 4, 8, 12
    windows = fuser.encode("why", context, max_length=12, stride=4)
    assert [w.offsets[3][0] // 5 for w in windows] == [0, 4, 8, 12]
    assert len(fuser.encode("why", context, max_length=12, stride=None)) == 1
    # steps as long as a window leave no token out, longer ones would
    assert len(fuser.encode("why", context, max_length=12, stride=8)) == 3
    with pytest.raises(ConfigError, match="from 1 to 8"):
        fuser.encode("why", context, max_length=12, stride=9)


@pytest.mark.parametrize(
    "head",
    [
        "AutoModelForQuestionAnswering",
        "AutoModelForMultipleChoice",
        "AutoModelForSequenceClassification",
    ],
)
def test_gradients_reach_the_new_rows_alone_that_are_read(folder, head):
    fuser = fuser_of(folder)
    with quiet_hosts():
        model = getattr(transformers, head).from_pretrained(folder)
    old = model.get_input_embeddings().weight.detach().clone()
    model = fuser.extend(model)
    table = model.get_input_embeddings()
    assert torch.equal(table.weight[: fuser.token_ids["m"]], old[: fuser.token_ids["m"]])
    for key, number in fuser.token_ids.items():
        assert torch.equal(table.weight[number], torch.from_numpy(VECTORS[key]))
    assert model.config.vocab_size == table.num_embeddings
    inputs = fuser.collate([*fuser.encode(QUESTION, "why pain"), *fuser.encode("why", "pain")])
    if head.endswith("Choice"):
        inputs = {k: v[None] for k, v in inputs.items()}
    out = model(**inputs)
    first = out.start_logits if head.endswith("Answering") else out.logits
    first.square().sum().backward()
    gradient = table.weight.grad
    assert gradient[fuser.token_ids["m"]].abs().sum() > 0
    assert gradient[fuser.token_ids["h"]].abs().sum() > 0
    assert gradient[fuser.token_ids["zh"]].abs().sum() == 0


def test_tied_output_embeddings_are_untouched(bert):
    with quiet_hosts():
        model = transformers.AutoModelForMaskedLM.from_pretrained(bert)
    before = model.get_output_embeddings().weight
    copy = before.detach().clone()
    assert model.get_input_embeddings().weight is before
    fuser_of(bert).extend(model)
    assert model.get_output_embeddings().weight is before
    assert torch.equal(before, copy)
    assert model.get_input_embeddings().weight is not before
    model.tie_weights()
    assert model.get_output_embeddings().weight is before
    assert model.get_input_embeddings().padding_idx == 0
    model(**fuser_of(bert).collate(fuser_of(bert).encode(QUESTION)))


def test_batches_do_not_change_what_a_window_gives(bert):
    fuser = fuser_of(bert)
    with quiet_hosts():
        model = transformers.AutoModel.from_pretrained(bert).eval()
    fuser.extend(model)
    windows = [*fuser.encode(QUESTION, "why pain"), *fuser.encode("why", "pain " * 9)]
    with torch.no_grad():
        both = model(**fuser.collate(windows)).last_hidden_state
        alone = model(**fuser.collate(windows[:1])).last_hidden_state
    assert torch.allclose(both[0, : alone.shape[1]], alone[0], atol=1e-5)


@pytest.mark.parametrize("layout", ["dekcor", "plain"])
def test_saved_fuser_comes_back(folder, layout, tmp_path):
    fuser = fuser_of(folder, layout)
    fuser.save(tmp_path / "fuser")
    again = EntityFuser.load(tmp_path / "fuser")
    assert again.token_ids == fuser.token_ids
    assert again.encode(QUESTION, "why 发热") == fuser.encode(QUESTION, "why 发热")
    for key, row in fuser.vectors.items():
        assert np.array_equal(again.vectors[key], row)


def test_text_that_holds_an_entitys_id_is_only_text(bert):
    fuser = fuser_of(bert)
    window = fuser.encode("why m h zh [m]")[0]
    assert window.entities == []


def test_bad_input_is_refused(bert):
    fuser = fuser_of(bert)
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    linker = DictionaryLinker(NAMES)
    with pytest.raises(ConfigError, match="dekcor"):
        fuser_of(bert, "dekkor")
    with pytest.raises(ConfigError, match="needs a linker"):
        EntityFuser(tokenizer, linker=linker, vectors={})
    with pytest.raises(DataError, match="one width"):
        EntityFuser(tokenizer, linker=linker, vectors={1: np.ones(3), 2: np.ones(4)})
    with pytest.raises(DataError, match="finite"):
        EntityFuser(tokenizer, linker=linker, vectors={1: np.array([np.nan])})
    with pytest.raises(DataError, match="string"):
        fuser.encode(None)
    with pytest.raises(DataError, match="leaves"):
        fuser.encode(QUESTION * 9, "why", max_length=40)
    with pytest.raises(ConfigError, match="stride"):
        fuser.encode("why", "pain", max_length=12, stride=40)
    with quiet_hosts():
        model = transformers.AutoModel.from_pretrained(bert)
    narrow = EntityFuser(tokenizer, linker=linker, vectors={"m": np.ones(3)})
    with pytest.raises(DataError, match="align them"):
        narrow.extend(model)
    model.embeddings.word_embeddings = torch.nn.Identity()
    with pytest.raises(ModelError, match="table"):
        grow_embeddings(model, np.array([1]), np.ones((1, 16)))


def test_random_control_has_mean_and_lengths_of_the_real_vectors():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(200, 8)) * rng.uniform(0.1, 3, size=8) + rng.normal(size=8)
    made = matched_random(real, seed=1)
    assert np.allclose(made.mean(0), real.mean(0), atol=1e-5)
    assert np.square(made).sum() == pytest.approx(np.square(real).sum(), rel=1e-4)
    assert abs(np.corrcoef(made.ravel() - real.mean(0).repeat(200), real.T.ravel())[0, 1]) < 0.9
    assert np.array_equal(made, matched_random(real, seed=1))
    assert not np.array_equal(made, matched_random(real, seed=2))
    mixed = matched_random(real, kind="shuffled")
    assert sorted(map(tuple, mixed)) == sorted(map(tuple, real.astype(np.float32)))
    with pytest.raises(ConfigError, match="kind"):
        matched_random(real, kind="uniform")
    with pytest.raises(DataError, match="finite"):
        matched_random(np.full((2, 2), np.nan))


def test_means_are_over_the_tables_that_have_an_entity():
    found = mean_vectors({1: np.ones(2), 2: np.zeros(2)}, {1: np.full(2, 3.0)})
    assert found[1].tolist() == [2.0, 2.0]
    assert found[2].tolist() == [0.0, 0.0]
    with pytest.raises(DataError, match="one width"):
        mean_vectors({1: np.ones(2)}, {1: np.ones(3)})


def test_definitions_are_read_by_the_pooler(bert):
    texts = {"a": "pain in the head", "b": "", "c": "fever"}
    reader = DefinitionVectors(str(bert), batch_size=1)
    found = reader.encode(texts)
    assert list(found) == ["a", "c"]
    inputs = reader.tokenizer("fever", return_tensors="pt")
    with torch.no_grad():
        wanted = reader.model(**inputs).pooler_output[0].numpy()
    assert np.allclose(found["c"], wanted, atol=1e-6)
    together = DefinitionVectors(str(bert), batch_size=8).encode(texts)
    assert all(np.allclose(found[k], together[k], atol=1e-5) for k in found)
    long = reader.tokenizer(texts["a"], return_tensors="pt")
    with torch.no_grad():
        states = reader.model(**long).last_hidden_state[0]
    pooled = {"cls": states[0], "mean": states.mean(0)}
    for pooling, one in pooled.items():
        rows = DefinitionVectors(str(bert), pooling=pooling).encode(texts | {"d": "pain " * 20})
        assert np.allclose(rows["a"], one.numpy(), atol=1e-5)
    cut = DefinitionVectors(str(bert), max_tokens=4).encode({"a": "pain in the head"})
    assert np.allclose(cut["a"], reader.encode({"a": "pain in"})["a"], atol=1e-5)
    reader.model.train()
    assert np.allclose(reader.encode(texts)["c"], wanted, atol=1e-6) and reader.model.training
    for pooling in ("cls", "mean"):
        unit = DefinitionVectors(str(bert), pooling=pooling, norm=2.0).encode(texts)
        assert np.linalg.norm(unit["a"]) == pytest.approx(2.0, rel=1e-5)
    with pytest.raises(DataError, match="at least one"):
        reader.encode({"a": " "})
    with pytest.raises(ConfigError, match="pooling"):
        DefinitionVectors(str(bert), pooling="max")
    with pytest.raises(ModelError, match="neither"):
        DefinitionVectors("no/such-model-here")
