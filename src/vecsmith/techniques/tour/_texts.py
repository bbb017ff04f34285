"""Steps about texts: news judged by people, topics, word senses."""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._step import Floor, StepResult, bars

MINILM = "all-MiniLM-L6-v2"


def lee_texts() -> tuple[list[str], NDArray[np.float64]]:
    """Load 50 news texts and the matrix of their judged similarities."""
    from vecsmith.data.samples import load_lee

    rows = load_lee()[:]
    texts = list(dict.fromkeys([*rows["text_a"], *rows["text_b"]]))
    place = {text: row for row, text in enumerate(texts)}
    human = np.eye(len(texts))
    for a, b, score in zip(rows["text_a"], rows["text_b"], rows["score"], strict=True):
        human[place[a], place[b]] = human[place[b], place[a]] = score
    return texts, human


def similarity_of_texts(quick: bool, seed: int = 0) -> StepResult:
    """Compare ways of writing a text as a vector with 1,225 human judgements."""
    from vecsmith.data.samples import google_news_path, load_lee_background
    from vecsmith.encode.lexical import FactorEncoder, LexicalEncoder, LexicalOptions
    from vecsmith.encode.pooling import PoolingOptions, WordPooling
    from vecsmith.encode.text import load_sentence_transformer
    from vecsmith.encode.words import WordVectors
    from vecsmith.evaluate import rsa

    texts, human = lee_texts()
    background = load_lee_background()
    both = [*texts, *background]
    words = WordVectors.load(google_news_path())
    raw = LexicalEncoder("counts", options=LexicalOptions(stop_words=None))
    off = PoolingOptions(components=1)
    encoders: dict[str, Any] = {
        "raw counts": raw.fit(both),
        "one-hot": LexicalEncoder("binary").fit(both),
        "TF-IDF": LexicalEncoder("tfidf").fit(both),
        "LSA 50": FactorEncoder("lsa", 50, seed=seed).fit(both),
        "LDA 20": FactorEncoder("lda", 20, max_iter=100, seed=seed).fit(background),
        "mean of word2vec": WordPooling(words).fit(both),
        "SIF": WordPooling(words, weights="sif").fit(both),
        "SIF, direction off": WordPooling(words, weights="sif", options=off).fit(both),
    }
    if not quick:
        encoders["MiniLM"] = load_sentence_transformer(MINILM)
    vectors = {name: encoder.encode(texts) for name, encoder in encoders.items()}
    figures = {name: rsa(found, human).correlation for name, found in vectors.items()}
    rng = np.random.default_rng(seed)
    figures["random vectors"] = rsa(rng.normal(size=(len(texts), 50)), human).correlation
    wanted = {"raw counts": 0.163, "one-hot": 0.527, "TF-IDF": 0.585, "LSA 50": 0.493, "SIF": 0.462}
    if not quick:
        wanted["MiniLM"] = 0.656
    floors = [Floor(name, value - 0.03, "0.03 below") for name, value in wanted.items()]
    return StepResult(
        "Texts: from one-hot words to a transformer",
        "50 news texts (Lee corpus), 1,225 pairs judged by people, 300 texts to count in; "
        "Pearson of cosine and judgement.",
        figures,
        (*floors, Floor("LDA 20", 0.2, "set beforehand")),
        ("counts", "one-hot", "tfidf", "lsa", "lda", "mean", "sif", "minilm"),
        bars(figures, "Pearson r with people"),
    )


def people(quick: bool, seed: int = 0) -> StepResult:
    """Representational similarity with a permutation test."""
    from vecsmith.encode.lexical import LexicalEncoder
    from vecsmith.evaluate import rsa

    texts, human = lee_texts()
    rounds = 99 if quick else 499
    fits = {
        name: rsa(vectors, human, kind="spearman", permutations=rounds, seed=seed)
        for name, vectors in {
            "TF-IDF": LexicalEncoder("tfidf").fit(texts).encode(texts),
            "random vectors": np.random.default_rng(seed).normal(size=(len(texts), 50)),
        }.items()
    }
    figures = {f"rho, {name}": fit.correlation for name, fit in fits.items()}
    figures |= {f"1 - p, {name}": 1 - fit.p for name, fit in fits.items()}
    return StepResult(
        "People: do vectors order the world as we do?",
        f"The same texts; Spearman of both matrices, and p by {rounds} permutations of the texts.",
        figures,
        (Floor("rho, TF-IDF", 0.2, "set beforehand"), Floor("1 - p, TF-IDF", 0.95, "p < .05")),
        ("rsa", "tfidf"),
        bars(figures, "correlation; 1 - p"),
    )


def topics(quick: bool, seed: int = 0) -> StepResult:
    """Find topics among definitions in three ways, and score their words."""
    from vecsmith.data.samples import load_wordnet
    from vecsmith.encode.lexical import FactorEncoder, LexicalEncoder
    from vecsmith.encode.text import load_sentence_transformer
    from vecsmith.evaluate.topics import topic_coherence
    from vecsmith.train.topics import EmbeddingTopics

    rng = np.random.default_rng(seed)
    glosses = np.array(load_wordnet()["gloss"])
    drawn = rng.permutation(len(glosses))
    texts = glosses[drawn[:1500]].tolist()
    judge = glosses[drawn[1500:21500]].tolist()
    counts = LexicalEncoder("counts").fit(texts)
    lists = {
        "LDA": FactorEncoder("lda", 15, lexical=counts, seed=seed).fit(texts).topics(8),
        "NMF": FactorEncoder("nmf", 15, seed=seed).fit(texts).topics(8),
        "clusters of MiniLM": EmbeddingTopics(load_sentence_transformer(MINILM), 15, seed=seed)
        .fit(texts)
        .topics(8),
    }
    words = [word for topic in lists["clusters of MiniLM"] for word in topic]
    shuffled = rng.permutation(words).reshape(-1, 8).tolist()
    lists["the last, words shuffled"] = shuffled
    figures = {
        f"NPMI, {name}": topic_coherence(found, judge, top_k=8, window=None).mean
        for name, found in lists.items()
    }
    chance = figures["NPMI, the last, words shuffled"]
    return StepResult(
        "Topics: what a pile of texts is about",
        "1,500 definitions of WordNet, 15 topics; coherence (NPMI) of their words in 20,000 other "
        "definitions. First topics: " + "; ".join(" ".join(t[:4]) for t in lists["NMF"][:3]) + ".",
        figures,
        (
            Floor("NPMI, NMF", chance, "the same words shuffled"),
            Floor("NPMI, clusters of MiniLM", chance, "the same words shuffled"),
        ),
        ("lda", "nmf", "embedding-topics", "coherence"),
        bars(figures, "NPMI"),
    )


@functools.lru_cache(maxsize=1)
def _several_senses() -> dict[str, list[tuple[int, str]]]:
    """Quoted uses of nouns with two senses or more, one of them with two uses."""
    from vecsmith.data.samples import load_wordnet

    rows = load_wordnet()[:]
    found: dict[str, list[tuple[int, str]]] = {}
    for sense, (lemmas, examples) in enumerate(zip(rows["lemmas"], rows["examples"], strict=True)):
        for example in examples:
            spoken = example.lower().split()
            for lemma in lemmas:
                if lemma.lower() in spoken:
                    found.setdefault(lemma.lower(), []).append((sense, example.lower()))
    return {
        lemma: uses
        for lemma, uses in sorted(found.items())
        if 1 < len({sense for sense, _ in uses}) < len(uses)
    }


def usages(count: int, seed: int) -> list[tuple[str, list[tuple[int, str]]]]:
    """Draw lemmas with quoted uses of two senses or more.

    Args:
        count: Lemmas at most.
        seed: Seed of the draw.

    Returns:
        Lemma, and pairs of sense and sentence.
    """
    found = _several_senses()
    lemmas = list(found)
    rng = np.random.default_rng(seed)
    return [(lemmas[i], found[lemmas[i]]) for i in rng.permutation(len(lemmas))[:count]]


def sense_areas(
    vectors: NDArray[Any], lemmas: NDArray[Any], senses: NDArray[Any]
) -> NDArray[np.float64]:
    """How often two uses of one sense are nearer than two of different senses of a lemma.

    Args:
        vectors: One a use, shape (uses, dims).
        lemmas: Lemma of each use.
        senses: Sense of each use.

    Returns:
        Area under the curve of each lemma that can be judged, by the alphabet; 0.5 is chance.
    """
    from vecsmith.train.tables import roc_auc

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths == 0, 1, lengths)
    areas = []
    for lemma in np.unique(lemmas):
        rows = np.flatnonzero(lemmas == lemma)
        a, b = (rows[side] for side in np.triu_indices(len(rows), 1))
        same = senses[a] == senses[b]
        if 0 < same.sum() < len(same):
            # equal to nine digits is equal: static vectors of one word must tie
            areas.append(roc_auc(same.astype(float), (unit[a] * unit[b]).sum(1).round(9)))
    return np.array(areas)


def states_of(
    uses: list[tuple[str, list[tuple[int, str]]]],
) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[Any], list[str]]:
    """Give the vector of the lemma in each use, at each layer of MiniLM.

    Args:
        uses: From `usages`.

    Returns:
        States of shape (layers, uses, dims), lemmas, senses, sentences.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    from vecsmith.encode import quiet_hosts, resolve_model

    folder = resolve_model(MINILM).path
    with quiet_hosts():
        model = AutoModel.from_pretrained(folder).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
    rows, lemmas, senses, texts = [], [], [], []
    for lemma, found in uses:
        for sense, text in found:
            start = text.split().index(lemma)
            begin = len(" ".join(text.split()[:start])) + (start > 0)
            clean = " ".join(text.split())
            batch = tokenizer(clean, return_tensors="pt", return_offsets_mapping=True)
            spans = batch.pop("offset_mapping")[0]
            inside = (spans[:, 0] >= begin) & (spans[:, 1] <= begin + len(lemma))
            inside &= spans[:, 1] > spans[:, 0]
            with torch.no_grad():
                states = model(**batch, output_hidden_states=True).hidden_states
            rows.append(torch.stack([state[0, inside].mean(0) for state in states]))
            lemmas.append(lemma)
            senses.append(sense)
            texts.append(clean)
    made = torch.stack(rows, 1).numpy()
    return made, np.array(lemmas), np.array(senses), texts


def senses(quick: bool, seed: int = 0) -> StepResult:
    """Tell senses of a word apart by its vector in context."""
    from vecsmith.data.samples import google_news_path
    from vecsmith.encode.pooling import WordPooling
    from vecsmith.encode.words import WordVectors

    states, lemmas, meant, texts = states_of(usages(60 if quick else 300, seed))
    words = WordPooling(WordVectors.load(google_news_path()))
    figures = {"static vector of the word": 0.5}
    figures["static vectors of its sentence"] = float(
        sense_areas(words.encode(texts), lemmas, meant).mean()
    )
    for layer, rows in enumerate(states):
        figures[f"MiniLM, layer {layer}"] = float(sense_areas(rows, lemmas, meant).mean())
    last = f"MiniLM, layer {len(states) - 1}"
    return StepResult(
        "Context: one word, several meanings",
        f"Quoted uses of {len(np.unique(lemmas))} nouns in WordNet: is the word's vector nearer to "
        "a use of the same sense than of another? A static vector cannot tell (0.5).",
        figures,
        (
            Floor(last, 0.6, "set beforehand"),
            Floor(last, figures["MiniLM, layer 0"], "no context yet"),
        ),
        ("encoder", "mean"),
        bars(figures, "AUC, mean over nouns"),
    )
