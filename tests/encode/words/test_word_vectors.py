"""Word vectors: search against loops, files, hosts, and what bad input says."""

import gzip
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError, MissingExtra, StoreError
from vecsmith.encode.words import (
    WordVectors,
    _word_search,
    nearest,
    solve_analogies,
    vectors_of_words,
)


def table(words=40, dims=6, seed=0):
    rng = np.random.default_rng(seed)
    return WordVectors([f"w{i}" for i in range(words)], rng.normal(size=(words, dims)))


def cosine(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


# search


@pytest.mark.parametrize("block", [1, 7, 1 << 24])
@pytest.mark.parametrize("queries", [2, 512])
def test_nearest_is_what_a_loop_finds(monkeypatch, block, queries):
    monkeypatch.setattr(_word_search, "BLOCK", block)
    monkeypatch.setattr(_word_search, "QUERIES", queries)
    vectors = table()
    asked = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
    exclude = np.array([[0, 3], [-1, 2], [39, 39], [-1, -1], [7, 8]])
    scores, rows = nearest(vectors.vectors, asked, 4, exclude=exclude)
    for query in range(5):
        expected = [
            (-cosine(asked[query], vectors.vectors[i]), i)
            for i in range(40)
            if i not in exclude[query]
        ]
        expected = sorted(expected)[:4]
        assert rows[query].tolist() == [i for _, i in expected]
        np.testing.assert_allclose(scores[query], [-s for s, _ in expected], atol=1e-6)


def test_nearest_gives_all_that_is_left():
    vectors = table(3)
    scores, rows = nearest(
        vectors.vectors, vectors.vectors[:1], 9, exclude=np.array([[0, 2]], np.int64)
    )
    assert rows.tolist() == [[1, -1, -1]] and np.isneginf(scores[0, 1:]).all()


def test_equal_scores_give_the_earlier_word_first():
    vectors = np.ones((9, 2), np.float32)
    assert nearest(vectors, vectors[:1], 3)[1].tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("method", ["add", "mul"])
@pytest.mark.parametrize("block", [3, 1 << 24])
def test_analogies_are_what_a_loop_finds(monkeypatch, method, block):
    monkeypatch.setattr(_word_search, "BLOCK", block)
    vectors = table(30, 5, seed=2)
    unit = vectors.vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    questions = np.array([[0, 1, 2], [5, 9, 20], [29, 3, 3]])
    scores, rows = solve_analogies(vectors.vectors, questions, 2, method=method)
    for (a, b, c), found, score in zip(questions, rows, scores, strict=True):
        values = {}
        for x in range(30):
            if x in (a, b, c):
                continue
            if method == "add":
                values[x] = cosine(unit[x], unit[b] - unit[a] + unit[c])
            else:
                s = [(1 + unit[x] @ unit[y]) / 2 for y in (a, b, c)]
                values[x] = s[1] * s[2] / (s[0] + 0.001)
        best = sorted(values, key=lambda x: -values[x])[:2]
        assert found.tolist() == best
        np.testing.assert_allclose(score, [values[x] for x in best], atol=1e-5)


def test_words_are_named():
    vectors = WordVectors(
        ["man", "king", "woman", "queen", "tree"],
        [[1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 1, 1], [-1, -1, 0.1]],
    )
    assert vectors.analogy("man", "king", "woman")[0][0] == "queen"
    assert vectors.analogy("man", "king", "woman", method="mul")[0][0] == "queen"
    found = vectors.most_similar("king", 2)
    assert [word for word, _ in found] == ["man", "queen"]
    assert found[0][1] == pytest.approx(0.5**0.5)
    assert vectors.most_similar([0, 1, 0.9], 1, exclude=["queen"])[0][0] == "woman"
    assert "king" in vectors and "King" not in vectors and len(vectors) == 5
    np.testing.assert_array_equal(vectors[["tree", "man"]][1], vectors["man"])
    np.testing.assert_array_equal(vectors.vector("man"), [1, 0, 0])


def test_zero_vectors_have_cosine_zero_and_stay_zero():
    vectors = WordVectors(["pad", "one", "two"], [[0, 0], [3, 4], [-3, -4]])
    assert vectors.most_similar("one") == [("pad", 0.0), ("two", pytest.approx(-1.0))]
    unit = vectors.normalized()
    np.testing.assert_allclose(unit.vectors, [[0, 0], [0.6, 0.8], [-0.6, -0.8]], atol=1e-7)
    assert unit.steps == ("normalize",) and unit.stamp != vectors.stamp


def test_subset_keeps_order_and_history():
    vectors = table().normalized()
    small = vectors.subset(["w9", "w2"])
    assert small.words == ["w9", "w2"] and small.steps == ("normalize",)
    np.testing.assert_array_equal(small.vectors, vectors.vectors[[9, 2]])
    assert vectors.subset(3).words == ["w0", "w1", "w2"] and len(vectors.subset(99)) == 40
    with pytest.raises(DataError, match="at least one word"):
        vectors.subset(0)


def test_float32_is_not_copied():
    numbers = np.ones((2, 3), np.float32)
    assert WordVectors(["a", "b"], numbers).vectors is numbers


# files

FILES = ["vectors", "vectors.bin", "vectors.txt", "vectors.vec", "v.bin.gz", "v.txt.gz"]


@pytest.mark.parametrize("name", FILES)
def test_files_give_back_every_bit(tmp_path, name):
    rng = np.random.default_rng(3)
    numbers = (rng.normal(size=(50, 7)) * 10.0 ** rng.integers(-20, 20, (50, 7))).astype(np.float32)
    words = [f"w{i}" for i in range(46)] + ["naïve", "数", "\udcff", "4"]
    vectors = WordVectors(words, numbers, name="mine")
    vectors.save(tmp_path / "sub" / name)
    again = WordVectors.load(tmp_path / "sub" / name)
    assert again.words == words and again.vectors.dtype == np.float32
    np.testing.assert_array_equal(again.vectors, numbers)


def test_glove_has_no_heading_and_words_with_spaces_are_read(tmp_path):
    path = tmp_path / "glove.txt"
    vectors = WordVectors([f"w{i}" for i in range(9000)], np.ones((9000, 3)))
    vectors.save(path, format="glove")
    assert path.read_text("utf-8").splitlines()[0] == "w0 1 1 1"
    assert WordVectors.load(path).words == vectors.words
    path.write_text("the 0.5 1 2\n. . . 1 2 3\nat 5 1 2 3\n", "utf-8")
    read = WordVectors.load(path)
    assert read.words == ["the", ". . .", "at 5"]
    np.testing.assert_array_equal(read["at 5"], [1, 2, 3])


def test_binary_file_of_the_original_program_is_read(tmp_path):
    # written with and without the line break after each vector
    for end in (b"\n", b""):
        rows = [b"a " + np.float32([1, 2]).tobytes() + end, b"b " + np.float32([3, 4]).tobytes()]
        (tmp_path / "x.bin").write_bytes(b"2 2\n" + b"".join(rows) + end)
        read = WordVectors.load(tmp_path / "x.bin")
        assert read.words == ["a", "b"] and read.vectors.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("name", FILES)
def test_parts_of_a_file(tmp_path, name):
    vectors = table()
    vectors.save(tmp_path / name)
    assert WordVectors.load(tmp_path / name, limit=3).words == ["w0", "w1", "w2"]
    some = WordVectors.load(tmp_path / name, only=["w7", "w3", "nothing"])
    assert some.words == ["w3", "w7"]
    np.testing.assert_array_equal(some.vectors, vectors.vectors[[3, 7]])
    with pytest.raises(DataError, match="none of the words asked for"):
        WordVectors.load(tmp_path / name, only=["nothing"])
    with pytest.raises(DataError, match="none of the words asked for"):
        WordVectors.load(tmp_path / name, only=["w7"], limit=3)


def test_memory_holds_a_big_file_once(tmp_path):
    path = tmp_path / "big.bin"
    rows = np.ones((60000, 300), np.float32)
    with path.open("wb") as file:
        file.write(b"60000 300\n")
        for i, row in enumerate(rows):
            file.write(f"w{i} ".encode() + row.tobytes() + b"\n")
    del rows
    code = (
        "import sys, resource\n"
        "from vecsmith.encode.words import WordVectors, _word_files\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "before = peak()\n"
        "v = WordVectors.load(sys.argv[1]); v.most_similar('w5')\n"
        "print(peak() - before)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    # the table is 69 MB
    assert float(run.stdout) < 69 * 1.6


def test_folder_says_what_it_is_and_a_fresh_process_reads_it(tmp_path):
    vectors = table().normalized()
    vectors.save(tmp_path / "v")
    settings_ = json.loads((tmp_path / "v" / "word_vectors.json").read_text("utf-8"))
    assert settings_["stamp"]["reshape"] == ["normalize"]
    again = WordVectors.load(tmp_path / "v")
    assert again.stamp == vectors.stamp and again.name == "word vectors"
    code = (
        "import sys; from vecsmith.encode.words import WordVectors\n"
        "assert 'torch' not in sys.modules\n"
        "print(WordVectors.load(sys.argv[1]).stamp.weights)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "v")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == vectors.stamp.weights
    vectors.subset(2).save(tmp_path / "v")
    assert len(WordVectors.load(tmp_path / "v")) == 2


@settings(max_examples=40, deadline=None)
@given(
    words=st.lists(
        st.text(
            st.characters(codec="utf-8", exclude_categories=["Zs", "Zl", "Zp", "Cc"]), min_size=1
        ),
        min_size=1,
        max_size=6,
        unique=True,
    ),
    dims=st.integers(1, 4),
    name=st.sampled_from(["v", "v.bin", "v.txt"]),
)
def test_any_word_comes_back(tmp_path_factory, words, dims, name):
    folder = tmp_path_factory.mktemp("any")
    numbers = np.arange(len(words) * dims, dtype=np.float32).reshape(len(words), dims)
    WordVectors(words, numbers).save(folder / name)
    again = WordVectors.load(folder / name)
    assert again.words == words
    np.testing.assert_array_equal(again.vectors, numbers)


# bad input


@pytest.mark.parametrize(
    ("words", "vectors", "named"),
    [
        ([], np.zeros((0, 3)), "at least one word"),
        (["a", "b"], np.zeros((1, 3)), "2 words need vectors"),
        (["a"], np.zeros(3), "need vectors"),
        (["a"], np.zeros((1, 0)), "need vectors"),
        (["a", "a"], np.zeros((2, 3)), "'a' comes more than once"),
        (["a", 3], np.zeros((2, 3)), "must be strings; got 3"),
        (["a", "b"], [[0, 1], [0, np.nan]], r"'b' \(row 1\) holds NaN"),
        (["a", "b"], [[np.inf, 1], [0, 1]], r"'a' \(row 0\) holds NaN or infinity"),
    ],
)
def test_bad_tables_are_refused(words, vectors, named):
    with pytest.raises(DataError, match=named):
        WordVectors(words, vectors)


def test_unknown_words_are_named_with_a_spelling_that_is_known():
    vectors = WordVectors(["New_York", "paris"], np.ones((2, 2)))
    with pytest.raises(DataError, match=r"'New York' has no vector.*'New_York' has one"):
        vectors["New York"]
    with pytest.raises(DataError, match=r"'Paris' \(and 1 more\) .*'paris' has one"):
        vectors[["Paris", "x", "paris"]]
    assert vectors.ids(["x", "paris"], unknown="mark").tolist() == [-1, 1]
    with pytest.raises(ConfigError, match="'error' or 'mark'"):
        vectors.ids(["x"], unknown="skip")
    with pytest.raises(ConfigError, match="single string"):
        vectors.ids("paris")
    with pytest.raises(DataError, match="2 finite numbers"):
        vectors.most_similar([1.0, 2.0, 3.0])
    with pytest.raises(ConfigError, match="top_k"):
        vectors.most_similar("paris", 0)
    with pytest.raises(ConfigError, match="method"):
        vectors.analogy("paris", "paris", "paris", method="times")


def binary(tmp_path, data):
    (tmp_path / "x.bin").write_bytes(data)
    return tmp_path / "x.bin"


ROW = np.float32([1, 2]).tobytes()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "should begin with two numbers"),
        (b"0 300\n", "two numbers above 0"),
        (b"word 0.1 0.2\n", "should begin with two numbers"),
        (
            b"3 2\na " + ROW + b"\nb " + ROW + b"\n",
            "should hold 3 vectors but ends after 2.*limit=2",
        ),
        (b"2 2\na " + ROW + b"\nb " + ROW[:5], "ends after 1"),
        (b"2 2\na " + ROW + b"\na " + ROW, "word 2 .*'a', is also word 1.*duplicates='first'"),
        (b"99999999999 300\na " + ROW, "damaged or cut short"),
        (b"1 2\na " + np.float32([1, np.nan]).tobytes(), "'a' .* holds NaN"),
    ],
)
def test_damaged_binary_files_say_where(tmp_path, data, named):
    with pytest.raises(DataError, match=named):
        WordVectors.load(binary(tmp_path, data))


def test_what_is_there_of_a_file_that_was_cut_short(tmp_path):
    path = binary(tmp_path, b"3 2\na " + ROW + b"\nb " + ROW + b"\n")
    assert WordVectors.load(path, limit=2).words == ["a", "b"]
    path = binary(tmp_path, b"2 2\na " + ROW + b"\na " + np.float32([3, 4]).tobytes())
    assert WordVectors.load(path, duplicates="first")["a"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "holds no vectors"),
        ("\n\n", "holds no vectors"),
        ("a 1 2\nb 1\n", "line 2 .*a word and 2 numbers"),
        ("a 1 2\nb 1 x\n", "line 2 .*a word and 2 numbers"),
        ("a\n", "line 1 "),
        ("2 2\na 1 2\nb 1 2 y\n", "line 3 .*a word and 2 numbers"),
        ("2 2\na 1 2\n", "should hold 2 vectors but ends after 1"),
        ("a 1 2\na 1 2\n", "is also word 1"),
        ("a 1 nan\n", "holds NaN"),
    ],
)
def test_damaged_text_files_say_where(tmp_path, text, named):
    (tmp_path / "x.txt").write_text(text, "utf-8")
    with pytest.raises(DataError, match=named):
        WordVectors.load(tmp_path / "x.txt")


def test_cut_gzip_is_named(tmp_path):
    whole = gzip.compress(b"2 2\na " + ROW + b"\nb " + np.random.default_rng(0).bytes(8))
    (tmp_path / "x.bin.gz").write_bytes(whole[:-12])
    with pytest.raises(DataError, match="cut short"):
        WordVectors.load(tmp_path / "x.bin.gz")


def test_paths_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="no file or folder"):
        WordVectors.load(tmp_path / "x.bin")
    with pytest.raises(DataError, match=r"pickled Python.*save_word2vec_format"):
        WordVectors.load(tmp_path / "x.kv")
    (tmp_path / "x.dat").write_text("x")
    with pytest.raises(DataError, match="cannot be told"):
        WordVectors.load(tmp_path / "x.dat")
    with pytest.raises(ConfigError, match="format must be one of"):
        WordVectors.load(tmp_path / "x.dat", format="json")
    with pytest.raises(StoreError, match="missing"):
        WordVectors.load(tmp_path)
    with pytest.raises(ConfigError, match="limit"):
        WordVectors.load(tmp_path / "x.dat", limit=0)
    with pytest.raises(ConfigError, match="duplicates"):
        WordVectors.load(tmp_path / "x.dat", duplicates="last")


def test_what_cannot_be_saved(tmp_path):
    vectors = WordVectors(["New York"], np.ones((1, 2)))
    for name in ("x.bin", "x.txt"):
        with pytest.raises(DataError, match="'New York' is empty or holds white space"):
            vectors.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="format"):
        vectors.save(tmp_path / "x.json")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is a file"):
        vectors.save(tmp_path / "file")
    vectors.save(tmp_path / "v")
    assert WordVectors.load(tmp_path / "v").words == ["New York"]


def test_damaged_folders_are_refused(tmp_path):
    vectors = table()
    vectors.save(tmp_path / "v")
    path = tmp_path / "v" / "vectors.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    with pytest.raises(StoreError, match="damaged"):
        WordVectors.load(tmp_path / "v")
    path.write_bytes(b"\xff" * 8 + whole[8:])
    with pytest.raises(StoreError, match="damaged"):
        WordVectors.load(tmp_path / "v")
    path.write_bytes(whole)
    words = tmp_path / "v" / "words.json"
    words.write_text(words.read_text("utf-8").replace('"w39"', '"w3"'), "utf-8")
    with pytest.raises(StoreError, match=r"words.json.* is damaged"):
        WordVectors.load(tmp_path / "v")
    settings_ = tmp_path / "v" / "word_vectors.json"
    settings_.write_text(settings_.read_text("utf-8").replace('"format": 1', '"format": 9'))
    with pytest.raises(StoreError, match="later vecsmith"):
        WordVectors.load(tmp_path / "v")


# hosts


def test_tokens_of_a_model(tiny_model):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(tiny_model), device="cpu")
    embedding = model[0].auto_model.get_input_embeddings()
    for tokenizer in (model.tokenizer, model.tokenizer.backend_tokenizer):
        vectors = WordVectors.from_embedding(embedding, tokenizer)
        assert vectors.words[1] == "[UNK]" and vectors.dims == 32
        row = model.tokenizer.convert_tokens_to_ids("valve")
        np.testing.assert_array_equal(vectors["valve"], embedding.weight[row].detach().numpy())
    assert not np.shares_memory(vectors.vectors, embedding.weight.detach().numpy())
    with pytest.raises(DataError, match="a row for each of the tokenizer's ids"):
        WordVectors.from_embedding(embedding.weight[:9], model.tokenizer)


def test_tokens_become_a_static_encoder(tiny_model, tmp_path):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(tiny_model), device="cpu")
    embedding = model[0].auto_model.get_input_embeddings()
    vectors = WordVectors.from_embedding(embedding, model.tokenizer)
    tokenizer = model.tokenizer.backend_tokenizer
    vectors.to_sentence_transformer(tokenizer).save_pretrained(str(tmp_path / "static"))
    static = SentenceTransformer(str(tmp_path / "static"), device="cpu")
    found = static.encode(["open the valve"])[0]
    np.testing.assert_allclose(found, vectors[["open", "the", "valve"]].mean(0), atol=1e-6)
    with pytest.raises(DataError, match="have no vector here"):
        vectors.subset(5).to_sentence_transformer(tokenizer)


def test_words_become_an_encoder_that_loads_without_vecsmith(tmp_path):
    from sentence_transformers import SentenceTransformer

    vectors = WordVectors(["open", "the", "valve"], np.eye(3))
    vectors.to_sentence_transformer().save_pretrained(str(tmp_path / "words"))
    again = SentenceTransformer(str(tmp_path / "words"), device="cpu")
    found = again.encode(["Open the valve!", "valve xx", "xx"])
    np.testing.assert_allclose(found, [[1 / 3] * 3, [0, 0, 1], [0, 0, 0]], atol=1e-6)
    parts = [*again, again[0].tokenizer]
    assert all(type(part).__module__.startswith("sentence_transformers.") for part in parts)


def test_encoders_give_words_vectors_by_templates():
    def encode(texts):
        return [[len(text), text.count(" ") + 1.0] for text in texts]

    found = vectors_of_words(encode, ["a_b", "xyz", "xyz"], templates=["{}", "It is {}."])
    assert found.words == ["a_b", "xyz"]
    parts = [np.array([3.0, 2.0]), np.array([10.0, 4.0])]
    expected = sum(part / np.linalg.norm(part) for part in parts) / 2
    np.testing.assert_allclose(found["a_b"], expected, atol=1e-6)
    for templates in ("{}", [], ["none"]):
        with pytest.raises(ConfigError, match="templates"):
            vectors_of_words(encode, ["a"], templates=templates)
    with pytest.raises(DataError, match="at least one word"):
        vectors_of_words(encode, [])


def test_gensim_agrees(tmp_path):
    pytest.importorskip("gensim")
    vectors = table(60, 8, seed=5)
    keyed = vectors.to_keyed_vectors()
    assert keyed.index_to_key == vectors.words
    for mine, theirs in zip(
        vectors.most_similar("w3", 5), keyed.most_similar("w3", topn=5), strict=True
    ):
        assert mine[0] == theirs[0] and mine[1] == pytest.approx(theirs[1], abs=1e-6)
    theirs = keyed.most_similar(positive=["w1", "w2"], negative=["w0"], topn=3)
    assert [w for w, _ in vectors.analogy("w0", "w1", "w2", top_k=3)] == [w for w, _ in theirs]
    for name, flag in (("a.bin", True), ("a.txt", False)):
        keyed.save_word2vec_format(str(tmp_path / name), binary=flag)
        assert WordVectors.load(tmp_path / name).words == vectors.words
    from gensim.models import KeyedVectors

    vectors.save(tmp_path / "b.bin")
    read = KeyedVectors.load_word2vec_format(str(tmp_path / "b.bin"), binary=True)
    np.testing.assert_array_equal(read.vectors, vectors.vectors)


def test_without_gensim_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    monkeypatch.setitem(sys.modules, "gensim", None)
    with pytest.raises(MissingExtra, match=r"vecsmith\[words\]"):
        table().to_keyed_vectors()
