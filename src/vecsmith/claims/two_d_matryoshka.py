"""Do embeddings of inner layers and leading dimensions need training of their own?

Task and student: see `_elastic_task`. Arms, on the same batches from the same start: the student
untrained, plain contrastive training, Matryoshka (all sizes, last layer), 2DMSE as in the paper and
its later version (Espresso); each is then cut to (layers, dims) = (1, 24), (2, 48), (3, 96) and
judged there, and whole. Sizes are drawn, and for Matryoshka listed, from those dimensions, so that
both train what is judged.
"""

from collections.abc import Callable
from typing import Any

from vecsmith.claims._contract import Claim, Measurement
from vecsmith.claims._elastic_task import (
    MENU,
    SMALL,
    contrastive,
    figures,
    make_task,
    new_student,
    ranks_at,
    small_items,
    train,
)

DIMS = tuple(dim for _, dim in SMALL)


def _arms(seed: int) -> dict[str, Callable[[Any], Any]]:
    from vecsmith.train import Grid2D, MatryoshkaLoss, TwoDMatryoshkaLoss

    def two_d(**options: Any) -> Callable[[Any], Any]:
        grid = Grid2D(dims=DIMS, seed=seed, **options)
        return lambda student: TwoDMatryoshkaLoss(contrastive(student), grid)

    return {
        "plain": contrastive,
        "mrl": lambda student: MatryoshkaLoss(contrastive(student), [dim for _, dim in MENU]),
        "2dmse": two_d(),
        "2dmse ese": two_d(preset="ese", rank=DIMS[1]),
    }


def measure(seed: int, quick: bool) -> Measurement:
    """Train every arm and cut it.

    Args:
        seed: Seed of split, batches, draws and dropout.
        quick: Two arms, few steps.

    Returns:
        MRR of Matryoshka and of 2DMSE, mean of the three small sizes, one item a query; the single
        sizes of every arm, and times, as extras.
    """
    from vecsmith.evaluate import layer_times

    task = make_task(seed, quick=quick)
    untrained = new_student()
    extra = figures("untrained", ranks_at(untrained, task))
    kept = {}
    for arm, wrap in _arms(seed).items():
        if quick and arm not in {"mrl", "2dmse"}:
            continue
        kept[arm] = ranks_at(train(task, seed, wrap), task)
        extra.update(figures(arm, kept[arm]))
    taken = layer_times(untrained, task.names[:64], [layers for layers, _ in MENU])
    extra.update({f"ms/text, {layers} blocks": spent for layers, spent in taken.items()})
    baseline, system = small_items(kept["mrl"]), small_items(kept["2dmse"])
    return Measurement.of_items(baseline, system, extra)


CLAIM = Claim(
    slug="two-d-matryoshka",
    claim="Cut to one to three of four blocks and 24 to 96 of 384 dimensions, an encoder trained "
    "with 2DMSE finds the right name better than one trained with Matryoshka alone; 32 steps of "
    "20 pairs, AdamW 1e-4, temperature .05, the same batches and start.",
    paper={
        "figure": "at every layer below the last 2DMSE is far above plain fine-tuning and "
        "Matryoshka, at the last layer about level",
        "baseline": "Matryoshka (and plain fine-tuning), cut at the same layer",
    },
    data="Human Phenotype Ontology: exact synonym -> preferred name among the 400 of the held-out "
    "terms, drawn anew for each seed; student: first four blocks of MiniLM-L6, mean pooled",
    metric="MRR, mean of sizes (1,24), (2,48), (3,96)",
    baseline="Matryoshka (last layer, all sizes), cut",
    system="2DMSE, cut",
    measure=measure,
)
