"""A chart as SVG: panels side by side, logarithmic both ways."""

import math
from dataclasses import dataclass
from pathlib import Path

WIDTH, HEIGHT = 460, 320
LEFT, RIGHT, TOP, BOTTOM = 62, 74, 36, 44
COLORS = ["#1b6ca8", "#b8432f", "#2f7d43", "#7a4fa3"]
LINE_GAP = 14


@dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    # By name, points of rows and value.
    series: dict[str, list[tuple[float, float]]]


def write_chart(path: Path, panels: list[Panel]) -> None:
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * len(panels)}" height="{HEIGHT}" '
             f'viewBox="0 0 {WIDTH * len(panels)} {HEIGHT}" font-family="sans-serif" font-size="12">',
             '<rect width="100%" height="100%" fill="white"/>']
    for number, panel in enumerate(panels):
        parts += [f'<g transform="translate({number * WIDTH},0)">', *draw(panel), "</g>"]
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")


class Axis:
    """Whole decades around some values, laid from one place to another."""

    def __init__(self, values: list[float], start: float, end: float):
        self.low, self.high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        self.high = max(self.high, self.low + 1)
        self.start, self.end = start, end

    def place(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def decades(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]

    def between(self) -> list[float]:
        return [decade * step for decade in self.decades()[:-1] for step in range(2, 10)]


def draw(panel: Panel) -> list[str]:
    points = [point for line in panel.series.values() for point in line]
    x = Axis([rows for rows, _ in points], LEFT, WIDTH - RIGHT)
    y = Axis([value for _, value in points], HEIGHT - BOTTOM, TOP)
    parts = [f'<text x="{LEFT}" y="20" font-weight="bold">{panel.title} ({panel.unit})</text>',
             f'<text x="{(x.start + x.end) / 2}" y="{HEIGHT - 8}" text-anchor="middle">rows</text>']
    for values, color in ((x.between(), "#eeeeee"), (x.decades(), "#c4c4c4")):
        parts += [rule(x.place(value), y.start, x.place(value), y.end, color) for value in values]
    for values, color in ((y.between(), "#eeeeee"), (y.decades(), "#c4c4c4")):
        parts += [rule(x.start, y.place(value), x.end, y.place(value), color) for value in values]
    parts += [f'<text x="{x.place(value):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{count(value)}</text>'
              for value in x.decades()]
    parts += [f'<text x="{LEFT - 6}" y="{y.place(value) + 4:.1f}" text-anchor="end">{value:,g}</text>' for value in y.decades()]
    ends = {name: y.place(line[-1][1]) for name, line in panel.series.items()}
    labels = apart(ends)
    for (name, line), color in zip(panel.series.items(), COLORS):
        places = [(x.place(rows), y.place(value)) for rows, value in line]
        path = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" fill="{color}"/>' for across, down in places]
        parts.append(f'<text x="{places[-1][0] + 8:.1f}" y="{labels[name] + 4:.1f}" fill="{color}">{name}</text>')
    return parts


def rule(x1: float, y1: float, x2: float, y2: float, color: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"/>'


def count(value: float) -> str:
    return f"{value / 1e6:g} M" if value >= 1e6 else f"{value:,.0f}"


def apart(places: dict[str, float]) -> dict[str, float]:
    """Moves labels down until none covers another."""
    moved, last = {}, -math.inf
    for name, place in sorted(places.items(), key=lambda pair: pair[1]):
        last = moved[name] = max(place, last + LINE_GAP)
    return moved
