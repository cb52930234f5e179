"""One picture of the throughput: rows a second, ours among the rivals, on a logarithmic axis."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from benchmarks.measuring import Figure

_TITLES = {"single": "One row a request", "bulk": "In bulk, 500 rows a request"}
_OURS, _OTHERS = "#1f6feb", "#9aa4b2"
_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "benchmarks",  # the same figures make the same file
    "font.family": "sans-serif",
    "font.size": 9,
}


def draw(figures: Sequence[Figure], path: Path) -> None:
    """Draw the measures that there are, of those in :data:`_TITLES`. The file's ending says which format."""
    groups = {measure: _bars(measure, figures) for measure in _TITLES}
    groups = {measure: bars for measure, bars in groups.items() if bars}
    with mpl.rc_context(_STYLE):
        picture = Picture(figsize=(7.2, 0.6 + sum(0.32 * len(bars) + 0.45 for bars in groups.values())))
        picture.set_layout_engine("constrained")
        axes = picture.subplots(
            len(groups), sharex=True, squeeze=False, height_ratios=[len(bars) for bars in groups.values()]
        )[:, 0]
        for place, (measure, bars) in zip(axes, groups.items(), strict=True):
            _draw_group(place, _TITLES[measure], bars)
        rates = [rate for bars in groups.values() for _, rate in bars]
        axes[-1].set_xlim(min(rates) / 3, max(rates) * 3)
        axes[-1].set_xlabel("rows per second, logarithmic")
        picture.savefig(path, facecolor="white", metadata={"Date": None} if path.suffix == ".svg" else None)


def _bars(measure: str, figures: Sequence[Figure]) -> list[tuple[str, float]]:
    """Return names and rates, the slowest first."""
    lines = [line for line in figures if line.measure == measure]
    lines = [line for line in lines if line.case == lines[0].case]  # the one against an API that answers at once
    ours = [("this package", line.ours.median) for line in lines[:1]]
    return sorted(ours + [(line.against, line.baseline.median) for line in lines], key=lambda bar: bar[1])


def _draw_group(axes: Axes, title: str, bars: list[tuple[str, float]]) -> None:
    names, rates = zip(*bars, strict=True)
    colors = [_OURS if name == "this package" else _OTHERS for name in names]
    drawn = axes.barh(names, rates, color=colors, height=0.7)
    axes.bar_label(drawn, [f"{rate:,.0f}" for rate in rates], padding=4)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter("")
    axes.invert_yaxis()
    axes.set_title(title, loc="left", fontweight="bold")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
