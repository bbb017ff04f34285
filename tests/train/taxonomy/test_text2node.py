import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, DataError, ModelError, StoreError, numpy_generator
from vecsmith.data.taxonomy import Taxonomy
from vecsmith.encode.words import SubwordVectors, WordVectors
from vecsmith.train.graphs import Node2Vec
from vecsmith.train.taxonomy import (
    MAPPERS,
    NearestPhrase,
    Text2Node,
    Text2NodeOptions,
    TokenStates,
    TokenTable,
    WordSequences,
    as_phrase_encoder,
    mapping_loss,
    phrase_words,
)
from vecsmith.train.taxonomy._confidence import confidence_features, fit_confidence, held_out
from vecsmith.train.taxonomy._nearest import top
from vecsmith.train.taxonomy._phrases import load_phrase_encoder
from vecsmith.train.taxonomy._text2node import _centred
from vecsmith.train.taxonomy._training import padded

ORGANS = ("heart", "lung", "liver", "kidney", "skin")
SIGNS = ("pain", "failure", "cancer", "injury", "infection")


def _taxonomy():
    names = {"root": "body", **{organ: organ for organ in ORGANS}}
    edges = [(organ, "root") for organ in ORGANS]
    synonyms = {}
    for organ in ORGANS:
        for sign in SIGNS:
            node = f"{organ}:{sign}"
            names[node] = f"{organ} {sign}"
            edges.append((node, organ))
            synonyms[node] = [f"{sign} of the {organ}", f"acute {sign}, {organ}"]
    return Taxonomy.from_edges(edges, names, synonyms)


TAX = _taxonomy()
QUICK = Text2NodeOptions(hidden=24, epochs=30, lr=5e-3, widths=(1, 2, 3))


@pytest.fixture(scope="module")
def words():
    texts = [phrase for phrase, _ in TAX.pairs()]
    vocabulary = sorted({word for text in texts for word in phrase_words(text)})
    rng = np.random.default_rng(0)
    return WordVectors(vocabulary, rng.normal(size=(len(vocabulary), 16)))


@pytest.fixture(scope="module")
def nodes():
    return Node2Vec(16, walk_length=20, window=3, random_state=0).fit(TAX.graph)


@pytest.fixture(scope="module")
def fitted(words, nodes):
    return Text2Node(words, nodes, options=QUICK).fit(TAX.pairs())


@pytest.mark.parametrize("name", sorted(MAPPERS))
class TestMappers:
    def make(self, name):
        torch.manual_seed(0)
        return MAPPERS[name](4, 3, Text2NodeOptions(hidden=5, dropout=0.0)).eval()

    def test_padding_does_not_matter(self, name):
        net = self.make(name)
        rng = np.random.default_rng(0)
        rows = [rng.normal(size=(n, 4)).astype(np.float32) for n in (1, 7, 3)]
        together = net(*padded(rows))
        for row, one in zip(rows, together, strict=True):
            torch.testing.assert_close(net(*padded([row]))[0], one, rtol=1e-5, atol=1e-6)

    def test_gradients_reach_all(self, name):
        net = self.make(name)
        net(*padded([np.ones((3, 4), np.float32)])).sum().backward()
        assert all(p.grad is not None for p in net.parameters())


def test_cnn_against_a_loop():
    torch.manual_seed(1)
    net = MAPPERS["cnn"](3, 2, Text2NodeOptions(hidden=4, widths=(2, 3), dropout=0.0)).eval()
    x = np.random.default_rng(0).normal(size=(4, 3))
    pooled = []
    for layer, width in zip(net.filters, (2, 3), strict=True):
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        wide = np.vstack([np.zeros(((width - 1) // 2, 3)), x, np.zeros((width // 2, 3))])
        rows = [np.einsum("odw,wd->o", weight, wide[i : i + width]) + bias for i in range(4)]
        pooled.append(np.maximum(rows, 0).max(0))
    out = np.concatenate(pooled) @ net.output.weight.detach().numpy().T
    found = net(*padded([x.astype(np.float32)]))[0].detach().numpy()
    np.testing.assert_allclose(found, out + net.output.bias.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_losses_against_loops():
    rng = np.random.default_rng(0)
    g, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    y[3] = y[0]
    concepts = np.array([7, 2, 5, 7])

    def cos(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    wanted = {
        "cosine": np.mean([1 - cos(a, b) for a, b in zip(g, y, strict=True)]),
        "mse": np.mean((g - y) ** 2),
        "infonce": np.mean(
            [
                -cos(a, b) / 0.1 + np.log(sum(np.exp(cos(a, y[c]) / 0.1) for c in (0, 1, 2)))
                for a, b in zip(g, y, strict=True)
            ]
        ),
    }
    args = [torch.from_numpy(part) for part in (g, y, concepts)]
    for name, value in wanted.items():
        assert float(mapping_loss(name, *args, temperature=0.1)) == pytest.approx(value, rel=1e-9)
    with pytest.raises(ConfigError, match="cosine"):
        mapping_loss("cosin", *args)


def test_node_vectors_are_centred_and_of_unit_length(nodes):
    made = _centred(nodes.embedding_, nodes.node_ids_)
    x = nodes.embedding_.astype(np.float64)
    x = x - x.mean(0)
    np.testing.assert_allclose(made, x / np.linalg.norm(x, axis=1)[:, None], rtol=1e-5, atol=1e-6)


def test_nearest_phrase_takes_the_best_phrase_of_a_concept():
    near = NearestPhrase(["a b", "c d", "a"], np.array([2, 0, 0]), 4)
    scores = near.scores(["a", "d", "x"])
    assert scores[0, 0] == pytest.approx(1) and 0 < scores[0, 2] < 1
    assert scores[:, [1, 3]].max() == 0 and scores[2].max() == 0
    assert near.best(["a", "d"], 2).tolist() == [[0, 2], [0, 1]]
    assert near.best([], 2).shape == (0, 2)
    with pytest.raises(DataError, match="no word"):
        NearestPhrase(["  "], np.array([0]), 1)


def test_top_is_stable():
    scores = np.array([[0, 1, 1, 0.5, 1]], np.float32)
    assert top(scores, 2).tolist() == [[1, 2]] and top(scores, 9).tolist() == [[1, 2, 4, 3, 0]]


@pytest.mark.parametrize("mapper", sorted(MAPPERS))
def test_learns(words, nodes, mapper):
    made = Text2Node(words, nodes, mapper=mapper, options=QUICK).fit(TAX.pairs())
    found = made.predict(["injury of the liver", "heart"], lexical=0)
    assert found[0].ids[0].startswith("liver") and found[1].ids[0].startswith("heart")


def test_unseen_concepts_are_found_near(words, nodes):
    dropped = {"heart:pain", "lung:cancer", "skin:injury"}
    pairs = [pair for pair in TAX.pairs() if pair[1] not in dropped]
    made = Text2Node(words, nodes, loss="infonce", options=QUICK).fit(pairs)
    found = made.predict(["heart pain", "lung cancer", "skin injury"], k=8, lexical=0)
    for mapped, organ in zip(found, ("heart", "lung", "skin"), strict=True):
        assert any(node in dropped for node in mapped.ids)
        assert np.mean([str(node).startswith(organ) for node in mapped.ids]) > 0.5


def test_predictions_do_not_depend_on_the_batch(fitted):
    phrases = [phrase for phrase, _ in TAX.pairs()]
    together = fitted.predict(phrases, k=3)
    for phrase, one in zip(phrases[::9], together[::9], strict=True):
        alone = fitted.predict([phrase], k=3)[0]
        assert alone.ids == one.ids
        np.testing.assert_allclose(alone.scores, one.scores, atol=1e-5)


def test_phrases_beyond_the_first_block_are_scored_by_their_own_words(fitted):
    phrases = [phrase for phrase, _ in TAX.pairs()]
    many = fitted.predict([*["heart"] * 300, *phrases], k=2)[300:]
    assert [one.ids for one in many] == [one.ids for one in fitted.predict(phrases, k=2)]


def test_all_training_phrases_are_known_with_the_weight_of_the_options(words, nodes):
    options = replace(QUICK, epochs=1, lexical=0.5, share=0.4)
    made = Text2Node(words, nodes, mapper="linear", options=options).fit(TAX.pairs())
    phrases, ids = zip(*TAX.pairs(), strict=True)
    with_words, alone = (
        np.concatenate([scores for _, scores in made.score_blocks(phrases, lexical=weight)])
        for weight in (None, 0)
    )
    own = [made.node_ids.index(node) for node in ids]
    rows = np.arange(len(own))
    np.testing.assert_allclose((with_words - alone)[rows, own], 0.5, atol=1e-5)


def test_confidences_are_learned_from_what_was_held_out(words, nodes, monkeypatch):
    """Each phrase twice: as it is, and without its own concept."""
    seen = []
    where = "vecsmith.train.taxonomy._text2node.fit_confidence"
    monkeypatch.setattr(where, lambda *given: seen.append(given) or fit_confidence(*given))
    options = replace(QUICK, epochs=5, lexical=0.5, share=0.3, seed=3)
    made = Text2Node(words, nodes, mapper="linear", options=options).fit(TAX.pairs())
    phrases, ids = zip(*TAX.pairs(), strict=True)
    own = np.array([made.node_ids.index(node) for node in ids])
    rng = numpy_generator(3, "text2node", "held out")
    held = held_out(own, int(0.3 * len(phrases)), rng)
    kept = np.setdiff1d(np.arange(len(phrases)), held)
    near = NearestPhrase([phrases[i] for i in kept], own[kept], len(made.node_ids))
    asked = [phrases[i] for i in held]
    cosines = made.transform(asked) @ made.node_vectors.T
    scores = cosines + 0.5 * near.scores(asked)
    wanted, right = [], []
    for turn in range(2):
        for row, node in enumerate(own[held]):
            if turn:
                scores[row, node] = -np.inf
            best = scores[row].argmax()
            second = np.sort(scores[row])[-2]
            wanted.append([scores[row, best], scores[row, best] - second, cosines[row, best]])
            right.append(best == node)
    ((features, found),) = seen
    np.testing.assert_allclose(features, wanted, atol=1e-5)
    assert found.tolist() == right and any(right)


def test_seeds_and_losses_make_other_maps(words, nodes):
    state = torch.get_rng_state()

    def image(seed=0, lr=1e-12, loss="cosine"):
        options = replace(QUICK, epochs=1, share=0, seed=seed, lr=lr)
        made = Text2Node(words, nodes, mapper="linear", loss=loss, options=options)
        return made.fit(TAX.pairs()).transform(["heart pain"])

    # with hardly any rate it is the start that differs
    assert not np.allclose(image(), image(seed=1), atol=1e-2)
    found = [image(lr=1e-2, loss=loss) for loss in ("cosine", "mse", "infonce")]
    assert all(not np.allclose(a, b) for a, b in itertools.combinations(found, 2))
    assert torch.equal(state, torch.get_rng_state())


def test_seed_repeats(words, nodes, fitted):
    again = Text2Node(words, nodes, options=QUICK).fit(*zip(*TAX.pairs(), strict=True))
    np.testing.assert_array_equal(again.transform(["heart pain"]), fitted.transform(["heart pain"]))


def test_no_such_concept(fitted):
    known, *none = fitted.predict(["lung pain", "", "боль", "acute of the"])
    assert known.ids == ("lung:pain",) and known.confidence > none[2].confidence
    assert known.answer(0.01) == "lung:pain" and known.answer(1.1) is None
    assert known.answer(known.confidence) == "lung:pain"
    for mapped in none[:2]:
        assert mapped.ids == () and mapped.confidence == 0 and mapped.answer(0) is None


def test_confidence_is_left_out_where_it_is_not_calibrated(words, nodes, fitted):
    assert np.isnan(fitted.predict(["lung pain"], lexical=0)[0].confidence)
    options = Text2NodeOptions(hidden=4, epochs=1, share=0)
    made = Text2Node(words, nodes, mapper="linear", options=options).fit(TAX.pairs())
    answer = made.predict(["lung pain"])[0]
    assert np.isnan(answer.confidence) and answer.answer(0) == answer.ids[0]
    with pytest.raises(ModelError, match="calibrate"):
        answer.answer()


def test_no_concept_loses_its_only_phrase_to_the_confidences():
    concepts = np.repeat(np.arange(40), 1 + np.arange(40) % 3)
    held = held_out(concepts, 20, np.random.default_rng(0))
    assert len(set(held)) == 20
    assert set(np.delete(concepts, held)) == set(range(40))
    assert held.tolist() != held_out(concepts, 20, np.random.default_rng(1)).tolist()
    # no more than can be spared, unless that is too few to learn from
    assert len(held_out(concepts, 79, np.random.default_rng(0))) == len(concepts) - 40
    assert len(held_out(np.arange(30), 12, np.random.default_rng(0))) == 12


def test_confidences_from_phrases_of_ones_own(words, nodes):
    options = replace(QUICK, lexical=0.5, share=0)
    made = Text2Node(words, nodes, mapper="linear", options=options).fit(TAX.pairs())
    told = [f"{sign} {organ}" for organ in ORGANS for sign in SIGNS]
    right = [f"{organ}:{sign}" for organ in ORGANS for sign in SIGNS]
    asked = [*told, "боль", *["acute of the"] * 25]
    assert made.calibrate(asked, [*right, None, *[None] * 25]) is made
    rows = made.predict(asked)
    best, features = zip(
        *(confidence_features(s, c) for _, s, c in made._blocks(asked, 0.5)), strict=True
    )
    hit = [made.node_ids[i] == node for i, node in zip(np.concatenate(best), right, strict=False)]
    kept = [i for i in range(len(asked)) if i != 25]
    wanted = fit_confidence(np.concatenate(features)[kept], np.array([*hit, *[False] * 25]))
    known = wanted.probabilities(np.concatenate(features)[kept])
    np.testing.assert_allclose([rows[i].confidence for i in kept], known, rtol=1e-6)
    assert np.mean([rows[i].confidence for i in range(25)]) > 0.5 > rows[-1].confidence
    # what has no concept is wrong whatever comes, also the first of all
    sure = replace(QUICK, epochs=1, lexical=50.0, share=0)
    made = Text2Node(words, nodes, mapper="linear", options=sure).fit(TAX.pairs())
    made.calibrate(["body"] * 12, [None] * 12)
    (first,) = made.predict(["body"])
    assert first.ids[0] == made.node_ids[0] and first.confidence < 0.1
    for given, message in (
        ((asked, right), "51 and 25"),
        ((told[:3], right[:3]), "at least 10"),
        ((told, ["nowhere"] * 25), "nowhere"),
    ):
        with pytest.raises(DataError, match=message):
            made.calibrate(*given)


def test_confidence_features_and_model():
    scores = np.array([[0.1, 0.9, 0.4], [0.5, 0.2, 0.5]], np.float32)
    best, of = confidence_features(scores, scores / 2)
    assert best.tolist() == [1, 0]
    np.testing.assert_allclose(of, [[0.9, 0.5, 0.45], [0.5, 0, 0.25]], rtol=1e-6)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 3)).astype(np.float32)
    right = rng.random(4000) < 1 / (1 + np.exp(-(2 * x[:, 0] - 1)))
    sure = fit_confidence(x, right)
    np.testing.assert_allclose([*sure.weights, sure.bias], [2, 0, 0, -1], atol=0.2)
    assert abs(sure.probabilities(x).mean() - right.mean()) < 0.01
    logits = x[:9] @ np.array(sure.weights) + sure.bias
    np.testing.assert_allclose(sure.probabilities(x[:9]), 1 / (1 + np.exp(-logits)), rtol=1e-5)
    for alike, wanted in ((False, 1 / 22), (True, 21 / 22)):
        constant = fit_confidence(x[:20], np.full(20, alike))
        np.testing.assert_allclose(constant.probabilities(x[:2]), wanted)
    with pytest.raises(DataError, match="share=0"):
        fit_confidence(x[:5], right[:5])


def test_save_and_load(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "m")
    loaded = Text2Node.from_pretrained(tmp_path / "m")
    phrases = ["liver failure", "", "skin"]
    assert loaded.predict(phrases, k=4) == fitted.predict(phrases, k=4)
    settings = json.loads((tmp_path / "m" / "settings.json").read_text())
    settings["names"].pop()
    (tmp_path / "m" / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(StoreError, match="damaged"):
        Text2Node.from_pretrained(tmp_path / "m")
    with pytest.raises(StoreError):
        Text2Node.from_pretrained(tmp_path / "none")


class TestPhraseEncoders:
    def test_words_split_as_the_paper_does(self):
        assert phrase_words("Type-2 Diabetes (E11)") == [
            "type",
            "-",
            "2",
            "diabetes",
            "(",
            "e11",
            ")",
        ]

    def test_unknown_words_are_passed_over(self, words, tmp_path):
        made = WordSequences(words)
        one, none = made.sequences(["heart xyz pain", "xyz"], 9)
        np.testing.assert_array_equal(one, words[["heart", "pain"]])
        assert none.shape == (0, 16)
        assert len(made.sequences(["heart pain heart"], 2)[0]) == 2
        made.save(tmp_path / "w")
        again = load_phrase_encoder(tmp_path / "w")
        np.testing.assert_array_equal(again.sequences(["heart"], 9)[0], one[:1])

    def test_subwords_know_all(self, tmp_path):
        rng = np.random.default_rng(0)
        vectors = SubwordVectors(["heart"], rng.normal(size=(1, 5)), rng.normal(size=(50, 5)))
        made = as_phrase_encoder(vectors)
        one = made.sequences(["hearts"], 9)[0]
        np.testing.assert_array_equal(one[0], vectors["hearts"])
        made.save(tmp_path / "w")
        np.testing.assert_array_equal(
            load_phrase_encoder(tmp_path / "w").sequences(["hearts"], 9)[0], one
        )

    def test_token_table(self, tiny_model, tmp_path):
        model = tiny_model(0, tmp_path)
        model.tokenizer.backend_tokenizer.enable_padding(length=40)
        model.tokenizer.backend_tokenizer.enable_truncation(2)
        made = TokenTable.from_model(model)
        assert len(made.sequences(["open the valve"], 64)[0]) == 3
        assert len(made.sequences(["open the valve"], 2)[0]) == 2
        model.tokenizer.backend_tokenizer.no_truncation()
        ids = model.tokenizer("open the valve", add_special_tokens=False)["input_ids"]
        table = model[0].auto_model.get_input_embeddings().weight.detach().numpy()
        one = made.sequences(["open the valve"], 9)[0]
        np.testing.assert_array_equal(one, table[ids])
        assert len(made.sequences(["ꙮ"], 9)[0]) == 0
        made.save(tmp_path / "w")
        again = load_phrase_encoder(tmp_path / "w")
        np.testing.assert_array_equal(again.sequences(["open the valve"], 9)[0], one)
        with pytest.raises(DataError, match="same model"):
            TokenTable(model.tokenizer, table[:5])

    def test_token_states(self, tiny_model, tmp_path):
        made = TokenStates(tiny_model(0, tmp_path), batch_size=3)
        none, one = made.sequences([" ", "open the valve"], 64)
        np.testing.assert_array_equal(made.sequences(["open the valve"], 2)[0], one[:2])
        assert one.shape == (5, 32) and none.shape == (0, 32) and made.dims == 32
        made.save(tmp_path / "w")
        again = load_phrase_encoder(tmp_path / "w")
        np.testing.assert_allclose(again.sequences(["open the valve"], 64)[0], one, atol=1e-6)
        assert again.batch_size == 3

    def test_others_are_refused(self):
        with pytest.raises(ConfigError, match="WordVectors"):
            as_phrase_encoder("glove.txt")


@pytest.mark.parametrize(
    ("phrases", "ids", "match"),
    [
        ([], None, "one at least"),
        (["heart"], None, "pairs"),
        (["heart", "  "], ["heart", "lung"], "phrase 1"),
        (["heart", None], ["heart", "lung"], "phrase 1"),
        (["heart"], ["heart", "lung"], "1 and 2"),
        (["heart"], ["hart"], "did you mean 'heart'"),
        (["heart", "сердце"], ["heart", "lung"], "phrase 1, 'сердце'"),
    ],
)
def test_bad_phrases(words, nodes, phrases, ids, match):
    with pytest.raises(DataError, match=match):
        Text2Node(words, nodes, options=QUICK).fit(phrases, ids)


def test_bad_settings(words, nodes, fitted):
    for wrong in ({"hidden": 0}, {"widths": ()}, {"lr": 0.0}, {"share": 1.0}, {"lexical": -1.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Text2NodeOptions(**wrong)
    with pytest.raises(ConfigError, match="bilstm"):
        Text2Node(words, nodes, mapper="lstm")
    with pytest.raises(ModelError, match="fit"):
        Text2Node(words, nodes).predict(["heart"])
    with pytest.raises(DataError, match="phrase 1"):
        fitted.predict(["heart", 3])
    with pytest.raises(DataError, match="k must"):
        fitted.predict(["heart"], k=0)
    with pytest.raises(DataError, match="list of texts"):
        fitted.predict("heart")


def test_a_node_without_edges_is_refused(words):
    apart = Taxonomy.from_edges([("a", "b"), ("b", "c")], {n: n for n in "abcd"})
    with pytest.warns(UserWarning, match="no edge"):
        bare = Node2Vec(4, walk_length=5).fit(apart.graph)
    with pytest.raises(DataError, match="rooted"):
        Text2Node(words, bare)
