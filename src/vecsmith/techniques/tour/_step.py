"""What a step of the tour is and gives."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vecsmith.core import ConfigError


@dataclass(frozen=True)
class Floor:
    """What a figure must reach.

    Attributes:
        figure: Its name.
        least: It must be above this.
        because: Where the floor comes from.
    """

    figure: str
    least: float
    because: str


@dataclass(frozen=True)
class StepResult:
    """What a step found.

    Attributes:
        title: What it is about.
        did: What was done, in a sentence or two.
        figures: Measured values by name, what they are compared with among them.
        floors: What must be reached.
        techniques: Keys of the table.
        draw: Draws the picture on axes of matplotlib.
        seconds: How long it took.
    """

    title: str
    did: str
    figures: dict[str, float]
    floors: tuple[Floor, ...]
    techniques: tuple[str, ...]
    draw: Callable[[Any], None]
    seconds: float = 0.0
    notes: tuple[str, ...] = field(default=())

    @property
    def missed(self) -> list[str]:
        """Floors that were not reached, each in a sentence."""
        return [
            f"{floor.figure} is {self.figures[floor.figure]:.3f} and must be above "
            f"{floor.least:.3f} ({floor.because})"
            for floor in self.floors
            if not self.figures[floor.figure] > floor.least
        ]


def bars(figures: dict[str, float], label: str) -> Callable[[Any], None]:
    """Make a picture of horizontal bars.

    Args:
        figures: Name -> value, drawn from the top.
        label: Of the axis of values.

    Returns:
        What draws it.
    """

    def draw(axes: Any) -> None:
        names, values = list(figures), list(figures.values())
        drawn = axes.barh(names, values, color="#0b6fb8", height=0.6)
        axes.bar_label(drawn, fmt="%.3f", padding=3, size=8)
        axes.invert_yaxis()
        axes.set_xlabel(label)
        axes.margins(x=0.15)
        axes.axvline(0, color="#444444", lw=0.8)
        axes.spines[["top", "right"]].set_visible(False)

    return draw


def chosen(steps: str | tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """Say which steps to go.

    Args:
        steps: "all", or names.
        known: All names, in order.

    Returns:
        Names, in order.

    Raises:
        ConfigError: An unknown name, or none.
    """
    from vecsmith.core import did_you_mean

    wanted = known if steps == "all" else (steps,) if isinstance(steps, str) else tuple(steps)
    for name in wanted:
        if name not in known:
            raise ConfigError(f"the tour has no step {name!r}; {did_you_mean(name, known)}")
    if not wanted:
        raise ConfigError(f"steps must name some of {', '.join(known)}; got none")
    return tuple(name for name in known if name in wanted)
