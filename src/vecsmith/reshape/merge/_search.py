"""Searches without gradients over what a merge is made of: which experts, or how far each way.

Two baselines of learned coefficients; both only ask for the score of a merged model.

Greedy soup (Wortsman et al., 2022, *Model soups*): rank the experts by their own score, then add
each to the average unless the score falls. Use for several runs of one task; of experts for
different tasks it often keeps one. Cost: at most 2 T - 1 scores for T experts.

Random search over direction and length::

    theta = theta_0 + lambda * sum_t alpha_t tau_t,   alpha ~ even on the simplex,
    lambda ~ even from 0 to `longest`

Use where the score has no gradient and a call is cheap. Avoid with many experts: the simplex then
is too large to hit by chance, and `SelfPositioning` follows the gradient instead. Cost: one merge
and one score a trial.
"""

from collections.abc import Callable
from typing import Any

from vecsmith.core import ConfigError, numpy_generator

from ._rules import merge, tuned_merge
from ._set import MergeSet


def greedy_soup(
    ms: MergeSet, score: Callable[[Any], float], *, higher_is_better: bool = True
) -> tuple[Any, tuple[str, ...]]:
    """Average the experts that do not lower a score on validation data, best first.

    Args:
        ms: Base and experts.
        score: Function of a model. Never score on test data.
        higher_is_better: Direction of the score.

    Returns:
        The averaged model, and the experts in it in the order they were added.
    """
    sign = 1.0 if higher_is_better else -1.0
    alone = {task: sign * float(score(ms.experts[task])) for task in ms.tasks}
    first, *others = sorted(ms.tasks, key=lambda task: -alone[task])
    kept: tuple[str, ...] = (first,)
    best, soup = alone[first], _soup(ms, kept)
    for task in others:
        tried = _soup(ms, (*kept, task))
        value = sign * float(score(tried))
        if value >= best:
            kept, best, soup = (*kept, task), value, tried
    return soup, kept


def _soup(ms: MergeSet, kept: tuple[str, ...]) -> Any:
    return merge(ms, "average", weights={task: float(task in kept) for task in ms.tasks})


def searched_merge(
    ms: MergeSet,
    score: Callable[[Any], float],
    *,
    trials: int = 100,
    longest: float = 2.0,
    seed: int = 0,
    higher_is_better: bool = True,
) -> tuple[Any, dict[str, Any], list[float]]:
    """Draw directions and lengths at random and keep the best by a score on validation data.

    Args:
        ms: Base and experts.
        score: Function of a merged model. Never score on test data.
        trials: How many points to score; the first is the plain average.
        longest: Largest length drawn; 1 is that of the average.
        seed: Seed of the draws.
        higher_is_better: Direction of the score.

    Returns:
        The best model, its "alpha" (expert -> share) and "lambda", and the score of each trial.

    Raises:
        ConfigError: `trials` is below 1, or `longest` is not above 0.
    """
    if trials < 1 or not longest > 0:
        raise ConfigError(
            f"trials must be at least 1 and longest above 0; got {trials} and {longest}"
        )
    rng, count = numpy_generator(seed, "searched-merge"), len(ms)
    points = [([1.0 / count] * count, 1.0)]
    points += [
        (rng.dirichlet([1.0] * count).tolist(), float(rng.uniform(0.0, longest)))
        for _ in range(trials - 1)
    ]
    # the rule's scale multiplies the sum of the task vectors, lambda their weighted mean
    settings = [
        {"scale": lam / count, "weights": dict(zip(ms.tasks, alpha, strict=True))}
        for alpha, lam in points
    ]
    model, chosen, scores = tuned_merge(
        ms, "task_arithmetic", settings, score, higher_is_better=higher_is_better
    )
    return model, {"alpha": chosen["weights"], "lambda": chosen["scale"] * count}, scores
