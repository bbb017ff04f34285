"""Charts of the report as SVG text: bars with intervals, and lines.

Colours come from classes of the page's style sheet, so that a chart follows light and dark. Charts
are drawn 360 units wide, which keeps their labels readable on a telephone.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from vecsmith.core import shown

WIDTH = 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 12, 40
_HEIGHT = 220
_ROW = 34
_BAR_WIDTH = 300.0
_LINE_CLASSES = ("s0", "s1", "s2", "s3")


def escaped(text: str) -> str:
    """Escape a text for HTML and SVG, quotes included.

    Args:
        text: Any text.

    Returns:
        Markup that shows it.
    """
    return html.escape(shown(text), quote=True)


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        label: Its name.
        value: Its length, 0 or more.
        text: The value as shown.
        low: Lower end of the interval, if there is one.
        high: Upper end of it.
        strong: Whether it is the one to look at.
    """

    label: str
    value: float
    text: str
    low: float | None = None
    high: float | None = None
    strong: bool = False


@dataclass(frozen=True)
class Line:
    """One line of a line chart.

    Attributes:
        name: Its name in the legend.
        points: (x, y) in the order of x.
        marked: A point to mark with a ring, if any.
    """

    name: str
    points: Sequence[tuple[float, float]]
    marked: tuple[float, float] | None = None


@dataclass(frozen=True)
class Axes:
    """What the axes of a line chart say.

    Attributes:
        x: Name of the horizontal axis.
        y: Name of the vertical axis.
        rule: Place of a vertical line, if any.
        rule_name: What stands beside it.
        y_from: Lowest value shown, or None for what the points need.
        y_to: Highest value shown, or None for what the points need.
    """

    x: str
    y: str
    rule: float | None = None
    rule_name: str = ""
    y_from: float | None = None
    y_to: float | None = None


def _open(height: float, title: str, description: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'aria-label="{escaped(f"{title}. {description}")}">'
    )


def bars(rows: Sequence[Bar], *, title: str, description: str, top: float | None = None) -> str:
    """Draw horizontal bars from 0, with whiskers where there is an interval.

    Args:
        rows: The bars, first on top.
        title: What the chart is.
        description: What it shows, for those who cannot see it.
        top: Value of the full width; None takes the largest.

    Returns:
        An `svg` element; each bar's width is value / top of the full width.
    """
    full = top if top is not None else max((row.value for row in rows), default=0.0)
    unit = _BAR_WIDTH / full if full > 0 else 0.0
    parts = [_open(_ROW * len(rows) + 6, title, description)]
    for place, row in enumerate(rows):
        y = place * _ROW
        kind = "bar strong" if row.strong else "bar"
        parts.append(f'<text x="0" y="{y + 13}">{escaped(_short(row.label, 44))}</text>')
        parts.append(
            f'<rect class="{kind}" x="0" y="{y + 18}" width="{row.value * unit:.2f}" height="12"/>'
        )
        end = row.value if row.high is None else max(row.value, row.high)
        parts.append(f'<text x="{end * unit + 7:.2f}" y="{y + 28}">{escaped(row.text)}</text>')
        if row.low is not None and row.high is not None:
            a, b, middle = row.low * unit, row.high * unit, y + 24
            parts.append(
                f'<path class="whisker" d="M{a:.2f} {middle}H{b:.2f}'
                f'M{a:.2f} {middle - 5}v10M{b:.2f} {middle - 5}v10"/>'
            )
    return "".join([*parts, "</svg>"])


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Choose round values between two ends.

    Args:
        low: Lower end.
        high: Upper end, above it.
        most: About how many steps.

    Returns:
        Multiples of 1, 2 or 5 times a power of ten within the ends.
    """
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def lines(series: Sequence[Line], axes: Axes, *, title: str, description: str) -> str:
    """Draw lines over one pair of axes.

    Args:
        series: The lines; the first four have colours and dashes of their own.
        axes: Names, ends and marks of the axes.
        title: What the chart is.
        description: What it shows, for those who cannot see it.

    Returns:
        An `svg` element; empty text without any point.
    """
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in line.points]
    if not xs:
        return ""
    x_ends = _ends([*xs, *([axes.rule] if axes.rule is not None else [])], None, None)
    frame = _Frame(*x_ends, *_ends(ys, axes.y_from, axes.y_to))
    height = _HEIGHT + 26 * (len(series) > 1)
    parts = [_open(height, title, description), *_grid(frame, axes)]
    if axes.rule is not None:
        at = frame.x(axes.rule)
        anchor = "end" if at > WIDTH / 2 else "start"
        shift = -4 if at > WIDTH / 2 else 4
        parts.append(f'<path class="rule" d="M{at:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
        parts.append(
            f'<text x="{at + shift:.1f}" y="{_TOP + 9}" text-anchor="{anchor}">'
            f"{escaped(axes.rule_name)}</text>"
        )
    offset = _LEFT
    for line, kind in zip(series, _LINE_CLASSES, strict=False):
        parts.append(_line(frame, line, kind))
        if len(series) > 1:
            parts.append(_key(offset, _HEIGHT + 14, line.name, kind))
            offset += 34 + 7 * len(line.name)
    return "".join([*parts, "</svg>"])


def _line(frame: "_Frame", line: Line, kind: str) -> str:
    places = [(frame.x(x), frame.y(y)) for x, y in line.points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    text = f'<path class="line {kind}" d="{path}"/>'
    if len(places) < 30:
        text += "".join(f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>'
                        for x, y in places)  # fmt: skip
    if line.marked is not None:
        x, y = frame.x(line.marked[0]), frame.y(line.marked[1])
        text += f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="6"/>'
    return text


def _key(x: float, y: float, name: str, kind: str) -> str:
    return (
        f'<path class="line {kind}" d="M{x:g} {y:g}h20"/>'
        f'<text x="{x + 25:g}" y="{y + 4:g}">{escaped(name)}</text>'
    )


def _ends(values: Sequence[float], low: float | None, high: float | None) -> tuple[float, float]:
    least, most = min(values), max(values)
    pad = 0.05 * (most - least) or 0.05 * abs(most) or 1.0
    if low is None and high is None and most > least and least >= 0 and least < 0.3 * most:
        low = 0.0
    return (least - pad if low is None else low), (most + pad if high is None else high)


@dataclass(frozen=True)
class _Frame:
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP)


def _grid(frame: _Frame, axes: Axes) -> list[str]:
    bottom = _HEIGHT - _BOTTOM
    parts = []
    rows, columns = ticks(frame.y_low, frame.y_high), ticks(frame.x_low, frame.x_high)
    for value, text in zip(rows, _texts(rows), strict=True):
        y = frame.y(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    for value, text in zip(columns, _texts(columns), strict=True):
        x = frame.x(value)
        parts.append(f'<path class="axis" d="M{x:.1f} {bottom}v4"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{text}</text>')
    parts.append(f'<path class="axis" d="M{_LEFT} {bottom}H{WIDTH - _RIGHT}"/>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(
        f'<text x="{middle:g}" y="{bottom + 34}" text-anchor="middle">{escaped(axes.x)}</text>'
    )
    turned = (_TOP + bottom) / 2
    parts.append(
        f'<text transform="translate(10 {turned:g}) rotate(-90)" text-anchor="middle">'
        f"{escaped(axes.y)}</text>"
    )
    return parts


def _texts(values: Sequence[float]) -> list[str]:
    """Write numbers with as many decimals as the longest of them needs."""
    decimals = max((len(f"{v:.10f}".rstrip("0").partition(".")[2]) for v in values), default=0)
    return [f"{v:,.{decimals}f}" for v in values]


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
