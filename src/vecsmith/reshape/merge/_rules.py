"""The visible table of merging rules, and the search over their settings.

A rule is a function of a `MergeSet` and settings that gives merged tensors one by one, so that
none need be held longer than it takes to write it. To add one: a file
with the function, and a row here.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vecsmith.core import ConfigError, did_you_mean

from ._set import Merged, MergeSet

# name -> module of this room; the function has the rule's name
RULES: dict[str, str] = {
    "average": "_average",
    "dare": "_dare",
    "fisher": "_fisher",
    "mergekit": "_mergekit",
    "regmean": "_regmean",
    "slerp": "_slerp",
    "task_arithmetic": "_average",
    "ties": "_ties",
}


def merge(ms: MergeSet, method: str, **settings: Any) -> Any:
    """Merge by a rule of the table.

    Args:
        ms: Base and experts.
        method: A key of `RULES`.
        **settings: The rule's settings.

    Returns:
        A model of the base's kind, with its recipe.

    Raises:
        ConfigError: Unknown rule, or settings that it does not take.
    """
    rule = rule_of(method, settings)
    return ms.build(
        dict(rule(ms, **settings)), {"method": method, "settings": plain_settings(settings)}
    )


def rule_of(method: str, settings: Mapping[str, Any]) -> Callable[..., Merged]:
    """Find a rule that takes these settings.

    Args:
        method: A key of `RULES`.
        settings: What it is to be called with besides the models.

    Returns:
        The rule.

    Raises:
        ConfigError: Unknown rule, or settings that it does not take or lacks.
    """
    if method not in RULES:
        raise ConfigError(f"no merging rule is called {method!r}; {did_you_mean(method, RULES)}")
    rule: Callable[..., Merged] = getattr(
        importlib.import_module(f"{__package__}.{RULES[method]}"), method
    )
    known = set(getattr(rule, "__kwdefaults__", None) or {})
    needed = set(rule.__annotations__) - known - {"ms", "return"}
    if unknown := sorted(set(settings) - known - needed):
        hint = did_you_mean(unknown[0], known | needed)
        raise ConfigError(f"the rule {method!r} has no setting {unknown[0]!r}; {hint}")
    if missing := sorted(needed - set(settings)):
        raise ConfigError(f"the rule {method!r} needs {', '.join(missing)}; give it by name")
    return rule


def tuned_merge(
    ms: MergeSet,
    method: str,
    settings: Sequence[Mapping[str, Any]],
    score: Callable[[Any], float],
    *,
    higher_is_better: bool = True,
) -> tuple[Any, dict[str, Any], list[float]]:
    """Try several settings of a rule and keep the best by a score on validation data.

    Args:
        ms: Base and experts.
        method: A key of `RULES`.
        settings: The settings to try.
        score: Function of a merged model. Never score on test data.
        higher_is_better: Direction of the score.

    Returns:
        The best model, its settings, and the score of each setting.

    Raises:
        ConfigError: There are no settings to try.
    """
    if not settings:
        raise ConfigError("settings must hold at least one dictionary to try; got none")
    sign = 1.0 if higher_is_better else -1.0
    best: Any = None
    chosen: dict[str, Any] = {}
    scores: list[float] = []
    for row in settings:
        model = merge(ms, method, **row)
        value = float(score(model))
        if not scores or sign * value > sign * max(scores, key=lambda old: sign * old):
            best, chosen = model, dict(row)
        scores.append(value)
    return best, chosen, scores


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as JSON holds them; data and functions by their kind.

    Args:
        settings: Of a rule.
    """
    simple = (bool, int, float, str, type(None))
    return {
        key: value
        if isinstance(value, simple)
        else {str(k): v for k, v in value.items()}
        if isinstance(value, Mapping) and all(isinstance(v, simple) for v in value.values())
        else type(value).__name__
        for key, value in settings.items()
    }
