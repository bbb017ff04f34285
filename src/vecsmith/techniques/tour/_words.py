"""Steps about words: learned from a dictionary, subwords, two spaces, probes, bytes, bias."""

import numpy as np

from ._step import Floor, StepResult, bars


def _dictionary(tokens: int, seed: int = 0) -> list[list[str]]:
    """Read definitions up to so many words, in random order."""
    from vecsmith.data.samples import load_gcide
    from vecsmith.train.words import split_words

    definitions = load_gcide(every=max(1, 5_000_000 // tokens))["text"]
    order = np.random.default_rng(seed).permutation(len(definitions))
    made, seen = [], 0
    for row in order:
        words = split_words(definitions[row])
        made.append(words)
        seen += len(words)
        if seen >= tokens:
            break
    return made


def learned_words(quick: bool, seed: int = 0) -> StepResult:
    """Learn word vectors in three ways."""
    from vecsmith.encode.words import WordVectors
    from vecsmith.evaluate import word_similarity
    from vecsmith.train.words import PPMIOptions, PPMIVectors, WordEmbeddingTrainer, WordTraining

    texts = _dictionary(100_000 if quick else 1_000_000, seed)
    options = WordTraining(epochs=2 if quick else 5, seed=seed)
    counted = PPMIVectors(50, options=PPMIOptions(min_count=5), seed=seed).fit(texts)
    tables = {"PPMI and SVD": counted.vectors}
    for model in ("skipgram", "glove"):
        trainer = WordEmbeddingTrainer(model=model, dim=50, options=options)
        tables[model] = trainer.fit(texts).vectors()
    words = tables["skipgram"].words
    rows = np.random.default_rng(seed).normal(size=(len(words), 50))
    tables["random vectors"] = WordVectors(words, rows)
    scores = {name: word_similarity(table, "men") for name, table in tables.items()}
    figures = {name: score.spearman for name, score in scores.items()}
    floors = [
        Floor("skipgram", 0.25, "set beforehand"),
        Floor("skipgram", figures["random vectors"] + 0.2, "random vectors and 0.2"),
    ]
    near = ", ".join(word for word, _ in tables["skipgram"].most_similar("water", 5))
    return StepResult(
        "Words: learned from a dictionary",
        f"{sum(map(len, texts)):,} words of the definitions of GCIDE, 50 dimensions; Spearman with "
        f"people on {scores['skipgram'].pairs} pairs (MEN). Near water: {near}.",
        figures,
        () if quick else tuple(floors),
        ("ppmi", "skipgram", "glove", "word-similarity"),
        bars(figures, "Spearman with people"),
    )


def subwords(quick: bool, seed: int = 0) -> StepResult:
    """Give vectors to inflections that were never seen."""
    from vecsmith.evaluate import pair_auc
    from vecsmith.train.subwords import FastTextOptions, train_fasttext

    texts = _dictionary(100_000 if quick else 1_000_000, seed)
    counts: dict[str, int] = {}
    for text in texts:
        for word in text:
            counts[word] = counts.get(word, 0) + 1
    rng = np.random.default_rng(seed)
    forms = [
        (word, word + "s") for word in sorted(counts) if len(word) > 4 and word + "s" in counts
    ]
    held = {forms[i][1] for i in rng.permutation(len(forms))[:400]}
    left = [[word for word in text if word not in held] for text in texts]
    options = FastTextOptions(epochs=2 if quick else 5, buckets=50_000, min_count=3)
    table = train_fasttext(left, 50, options=options, seed=seed)
    pairs = [(word, form) for word, form in forms if form in held and word in table]
    others = rng.permutation([word for word, _ in pairs])
    scores, labels = [], []
    for (word, form), other in zip(pairs, others, strict=True):
        for partner, label in ((word, 1), (other, 0)):
            a, b = table.vector(form), table.vector(partner)
            scores.append(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
            labels.append(label if partner != word or label else 1)
    figures = {"subword vectors": pair_auc(scores, labels), "chance": 0.5}
    return StepResult(
        "Subwords: vectors of words that were never seen",
        f"fastText on the dictionary without {len(pairs)} plurals: is the vector of an unseen "
        "plural nearer to its own noun than to another one?",
        figures,
        (Floor("subword vectors", 0.8, "set beforehand"),),
        ("fasttext", "subword-vectors"),
        bars(figures, "AUC"),
    )


def two_spaces(quick: bool, seed: int = 0) -> StepResult:
    """Bring vectors of two halves of a corpus into one space."""
    from vecsmith.reshape.adapt import align_spaces, translate, unit_centred
    from vecsmith.train.words import PPMIOptions, PPMIVectors

    texts = _dictionary(400_000 if quick else 2_000_000, seed)
    options = PPMIOptions(min_count=5, max_words=3000)
    tables = [PPMIVectors(100, options=options, seed=seed).fit(texts[i::2]).vectors for i in (0, 1)]
    shared = [word for word in tables[0].words if word in tables[1]]
    x, y = (unit_centred(table[shared]) for table in tables)
    order = np.random.default_rng(seed).permutation(len(shared))
    known, held = order[:300], order[300:]
    fit = align_spaces(x, y, np.stack([known, known], 1))
    mapped = fit.apply(x)
    figures = {}
    for name, rows, csls in (
        ("Procrustes and CSLS", mapped, True),
        ("Procrustes, nearest", mapped, False),
        ("not mapped", x, False),
    ):
        found = translate(rows, y, csls=csls)[:, 0]
        figures[name] = float((found[held] == held).mean())
    figures["chance"] = 1 / len(shared)
    return StepResult(
        "Two spaces: translation by a rotation",
        "Vectors of two halves of the dictionary stand for two languages: 300 words are the "
        f"dictionary between them, {len(held)} others are looked up (precision at 1).",
        figures,
        (
            Floor("Procrustes and CSLS", figures["Procrustes, nearest"] - 1e-9, "without CSLS"),
            Floor("Procrustes, nearest", 10 * figures["not mapped"], "ten times no rotation"),
        ),
        ("procrustes", "csls", "ppmi"),
        bars(figures, "precision at 1"),
    )


def reading_vectors(quick: bool, seed: int = 0) -> StepResult:
    """Read word classes off vectors in context, and what a probe could learn by heart."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    from vecsmith.data.samples import base_tag, load_brown
    from vecsmith.encode import quiet_hosts, resolve_model
    from vecsmith.evaluate import probe

    rows = load_brown()
    order = np.random.default_rng(seed).permutation(len(rows))[: 60 if quick else 250]
    folder = resolve_model("all-MiniLM-L6-v2").path
    with quiet_hosts():
        model = AutoModel.from_pretrained(folder).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
    states, labels, types = [], [], []
    for row in order:
        words, tags = rows[int(row)]["words"], rows[int(row)]["tags"]
        batch = tokenizer(words, is_split_into_words=True, return_tensors="pt", truncation=True)
        with torch.no_grad():
            found = model(**batch).last_hidden_state[0]
        first = {word: place for place, word in reversed(list(enumerate(batch.word_ids())))}
        for place, (word, tag) in enumerate(zip(words, tags, strict=True)):
            if place in first and word[0].isalpha():
                states.append(found[first[place]].numpy())
                labels.append(base_tag(tag)[:2])
                types.append(word.lower())
    score = probe(np.stack(states), labels, types, strength=0.01, seed=seed)
    figures = {
        "word classes": score.accuracy,
        "random classes of words": score.control,
        "selectivity": score.selectivity,
        "most frequent class": score.majority,
    }
    return StepResult(
        "Inside: what a vector holds",
        f"Word classes of {len(states)} words of the Brown corpus, read off MiniLM's states by a "
        "linear probe; random classes, one a word, show what it could learn by heart.",
        figures,
        (
            Floor("selectivity", 0.15, "set beforehand"),
            Floor("word classes", score.majority, "always the most frequent"),
        ),
        ("probe",),
        bars(figures, "accuracy"),
    )


def fewer_bytes(quick: bool, seed: int = 0) -> StepResult:
    """Compress a table of word vectors."""
    from vecsmith.data.samples import google_news_path
    from vecsmith.encode.words import WordVectors
    from vecsmith.reshape import compress_table

    rows = WordVectors.load(google_news_path(), limit=3000 if quick else None).vectors
    rng = np.random.default_rng(seed)
    queries = rows[rng.choice(len(rows), 300, replace=False)]
    figures = {}
    for codec, rate in (("int", 0.26), ("pq", 0.1), ("svd", 0.1), ("magnitude", 0.1)):
        table = compress_table(rows, codec, rate=rate, seed=seed)
        report = table.report(rows, queries)
        figures[f"{codec}, {report['rate']:.2f} of the bytes"] = report["recall"]
    drawn = compress_table(rows, "random_rows", rate=0.1, seed=seed).report(rows, queries)
    figures["rows shared at random"] = drawn["recall"]
    names = list(figures)
    return StepResult(
        "Bytes: the same neighbours from less",
        f"{len(rows):,} word vectors of 300 dimensions; how many of the ten nearest stay.",
        figures,
        (
            Floor(names[0], 0.95, "set beforehand"),
            Floor(names[1], figures["rows shared at random"] + 0.5, "random sharing and 0.5"),
        ),
        ("codecs",),
        bars(figures, "recall@10"),
    )


def bias(quick: bool, seed: int = 0) -> StepResult:
    """Take a gender direction out of word vectors."""
    from vecsmith.data.samples import google_news_path
    from vecsmith.evaluate.bias import BiasQuestions, examine_bias

    questions = BiasQuestions.gender(
        similarity=("wordsim353",), analogies=(), residual=0, seed=seed
    )
    report = examine_bias(google_news_path(), method="hard", questions=questions).report
    names = ("direct bias", "largest gap of cosines in a set", "wordsim353, Spearman")
    figures = {
        f"{name}, {column}": report.value(name, column)
        for name in names
        for column in report.columns
    }
    figures["direct bias taken out"] = figures["direct bias, before"] - figures["direct bias, hard"]
    lost = figures["wordsim353, Spearman, hard"] - figures["wordsim353, Spearman, before"]
    figures["similarity kept"] = lost
    return StepResult(
        "Bias: what people's texts leave in vectors",
        "Occupations along the gender direction of 26,423 word vectors, before and after hard "
        "debiasing, and the price.",
        figures,
        (
            Floor("direct bias taken out", figures["direct bias, before"] - 1e-6, "nothing left"),
            Floor("similarity kept", -0.01, "0.01 of quality"),
        ),
        ("axis", "direct-bias", "hard-debias"),
        bars({name: figures[name] for name in list(figures)[:6]}, "value"),
    )
