"""Draws the seconds of a benchmark's JSON as bars: `plot.py results.json results.svg`."""

import json
import sys
from statistics import median

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "retail-sales"
from matplotlib import pyplot as plt  # noqa: E402 (the backend first)


def main(data: str, picture: str) -> None:
    """One bar per thing timed, its median; the whisker spans all repeats."""
    with open(data) as file:
        results = json.load(file)
    timings = results["timings"][::-1]
    names = [timing["what"] for timing in timings]
    middles = [median(timing["seconds"]) for timing in timings]
    below = [middle - min(timing["seconds"]) for middle, timing in zip(middles, timings, strict=True)]
    above = [max(timing["seconds"]) - middle for middle, timing in zip(middles, timings, strict=True)]
    figure, axes = plt.subplots(figsize=(8, 0.6 + 0.4 * len(names)), layout="constrained")
    colors = ["#2a6f97" if name.startswith("daily-sales") else "#a9b4c2" for name in names]
    bars = axes.barh(names, middles, xerr=[below, above], color=colors, error_kw={"lw": 1})
    axes.bar_label(bars, fmt=" %.1f", padding=4)
    axes.set_xlabel(f"seconds, 4 x {results['rows']:,} rows")
    axes.margins(x=0.1)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
