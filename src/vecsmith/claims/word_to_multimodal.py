"""Claim of the survey: vectors in context tell the senses of a word, static ones do not.

The survey measures nothing of its own; this is the step it orders the field by. Of each noun with
quoted uses of several senses, pairs of uses are ranked by cosine. The static vector of the noun is
the same in all its uses; the fair static side is the mean of the vectors of the sentence. The layer
of the transformer is chosen on half of the nouns, the other half judges. The first seed also walks
the whole tour, and stores its figures.
"""

import numpy as np

from vecsmith.claims._contract import Claim, Measurement

NOUNS = 400


def measure(seed: int, quick: bool) -> Measurement:
    """Compare static and contextual vectors on the senses of nouns.

    Args:
        seed: Seed of the nouns and their halves.
        quick: A tenth of the nouns, no tour.

    Returns:
        Area under the curve of each judged noun, for the static sentence and for the chosen layer.
    """
    from vecsmith.data.samples import google_news_path
    from vecsmith.encode.pooling import WordPooling
    from vecsmith.encode.words import WordVectors
    from vecsmith.techniques.tour import run, sense_areas, states_of, usages

    uses = usages(NOUNS // 10 if quick else NOUNS, seed)
    states, nouns, senses, texts = states_of(uses)
    chooses = np.isin(nouns, [noun for noun, _ in uses[::2]])
    layers = [sense_areas(rows[chooses], nouns[chooses], senses[chooses]).mean() for rows in states]
    best = int(np.argmax(layers))
    judged = ~chooses
    static = WordPooling(WordVectors.load(google_news_path())).encode(texts)
    sides = {"static sentence": static, "chosen layer": states[best], "last layer": states[-1]}
    areas = {
        name: sense_areas(rows[judged], nouns[judged], senses[judged])
        for name, rows in sides.items()
    }
    extra = {f"auc {name}": float(found.mean()) for name, found in areas.items()}
    extra["auc first layer, before any context"] = float(
        sense_areas(states[0][judged], nouns[judged], senses[judged]).mean()
    )
    extra["layer"] = float(best)
    extra["nouns"] = float(len(areas["chosen layer"]))
    if seed == 0 and not quick:
        for name, step in run().items():
            extra |= {f"{name}: {figure}": value for figure, value in step.figures.items()}
            extra[f"{name}: floors missed"] = float(len(step.missed))
            extra[f"{name}: seconds"] = step.seconds
    return Measurement.of_items(areas["static sentence"], areas["chosen layer"], extra)


CLAIM = Claim(
    slug="word-to-multimodal",
    claim="A transformer's vector of a noun in its sentence tells its senses apart better than the "
    "mean of the static vectors of that sentence; nothing is trained, the layer is chosen on other "
    "nouns.",
    paper={
        "figure": "a survey; it measures nothing of its own. It orders the field by this step: "
        "static vectors give a word one point, contextual ones a point a use",
        "baseline": "static word vectors",
    },
    data="quoted uses of nouns in WordNet with two senses or more; GoogleNews vectors, "
    "all-MiniLM-L6-v2; seeds draw 400 nouns and their halves",
    metric="AUC of same sense against other sense, mean over nouns",
    baseline="mean of static vectors",
    system="vector in context",
    measure=measure,
    threads=2,
)
