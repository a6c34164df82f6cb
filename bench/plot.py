"""docs/benchmarks.svg: six figures as bars, the median of the rounds with the range they spread over."""

import statistics

from bench.measure import echo_figure
from bench.targets import KB

PANELS = (  # figure, title, scale, logarithmic
    (echo_figure(64, 100, "rate"), "Echo, 64 B × 100 connections\nthousand requests/s, more is better", 1000, False),
    ("spawn", "Start, run and end a goroutine\nns, logarithmic, less is better", 1, True),
    ("yield", "Yield to another goroutine\nns, logarithmic, less is better", 1, True),
    ("blocked", "A blocked goroutine\nKB, less is better", KB, False),
    ("channel", "One item through a buffered channel\nns, logarithmic, less is better", 1, True),
    ("rendezvous", "One item through an unbuffered channel\nns, logarithmic, less is better", 1, True),
)
OURS, OURS_PURE, THEIRS, SPREAD, TEXT = "#0b7285", "#66b2c2", "#ced4da", "#495057", "#212529"
ROOM = 1.22  # beyond the longest bar, for the number at its end
ROOM_LOGARITHMIC = 4.0


def draw(folder, results):
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "grt"  # the same results give the same file
    from matplotlib import pyplot

    present = [panel for panel in PANELS if results.contenders(panel[0])]
    if not present:
        return
    rows = (len(present) + 1) // 2
    figure, grid = pyplot.subplots(rows, 2, figsize=(11, 3.9 * rows), squeeze=False, layout="constrained")
    for axes in grid.flat[len(present) :]:
        axes.set_visible(False)
    for axes, panel in zip(grid.flat, present, strict=False):
        bars(axes, results, *panel)
    figure.savefig(folder / "benchmarks.svg", metadata={"Date": None})
    pyplot.close(figure)


def bars(axes, results, figure, title, scale, logarithmic):
    names = list(results.contenders(figure))[::-1]  # the first on top
    samples = [[value / scale for value in results.measured(figure, name)] for name in names]
    medians = [statistics.median(values) for values in samples]
    below = [middle - min(values) for middle, values in zip(medians, samples, strict=True)]
    above = [max(values) - middle for middle, values in zip(medians, samples, strict=True)]
    colours = [{"grt": OURS, "grt pure": OURS_PURE}.get(name, THEIRS) for name in names]
    axes.barh(names, medians, color=colours, xerr=(below, above), ecolor=SPREAD, error_kw={"linewidth": 1})
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(left=10)
    longest = max(max(values) for values in samples)
    axes.set_xlim(right=longest * (ROOM_LOGARITHMIC if logarithmic else ROOM))
    for row, (middle, values) in enumerate(zip(medians, samples, strict=True)):
        label = f"{middle:,.0f}".replace(",", " ") if middle >= 10 else f"{middle:.1f}"
        axes.annotate(label, (max(values), row), (5, 0), textcoords="offset points", va="center", color=TEXT)
    axes.set_title(title, loc="left", fontsize=10, color=TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
