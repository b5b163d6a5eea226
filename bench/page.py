"""Writes docs/performance.md: the measured part between its markers, and the curves as pictures."""

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

from bench.support.result import Curve, Figure, Measurement
from service.demo.postgres import find_binaries
from tests.support.apache import POM

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

plt.rcParams["svg.hashsalt"] = "carbon-uploads"  # the same curve is the same file


def write(names: list[str]) -> None:
    """Write the kept results of these rows between the page's markers."""
    measurements = []
    for name in names:
        try:
            measurements.append(Measurement.kept(name))
        except FileNotFoundError:
            measurements.append(Measurement(name, "did not run", ""))
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    with_figures = [each for each in measurements if each.figures]
    parts = [_machine(), _summary(with_figures), *map(_section, measurements)]
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n\n".join(parts) + f"\n{END}{after}", "utf-8")


def _machine() -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    total = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    kafka = re.search(
        r"<kafka.version>(.*?)</kafka.version>|<version>(\d+\.\d+\.\d+)</version>", POM.read_text()
    )
    postgres = os.popen(f"'{find_binaries() / 'postgres'}' --version").read().split()[-1]

    processor = model.group(1) if model else platform.machine()
    memory = int(total.group(1)) / 2**20 if total else 0
    kafka_version = next(filter(None, kafka.groups())) if kafka else "?"
    libraries = ", ".join(
        f"{name} {version(name)}"
        for name in ("asyncpg", "aiokafka", "faststream", "sqlalchemy", "orjson")
    )
    return (
        f"Written on {datetime.now(UTC):%Y-%m-%d}, measured on {os.cpu_count()} cores "
        f"({processor}), {memory:.0f} GiB, "
        f"Linux {platform.release()}; Python {platform.python_version()}, PostgreSQL {postgres} "
        f"with its default durability, Apache Kafka {kafka_version}, {libraries}."
    )


def _summary(measurements: list[Measurement]) -> str:
    lines = [
        "|  | work | against | figure | goal | found | verdict |",
        "|---|---|---|---|--:|--:|---|",
    ]
    for measurement in measurements:
        for number, figure in enumerate(measurement.figures):
            work = ("", "", "")
            if number == 0:
                work = (
                    f"[{measurement.name}](#{measurement.name.lower()})",
                    measurement.title,
                    measurement.against,
                )
            found = f"**{_value(figure, figure.value)}**"
            cells = (*work, figure.label, _goal(figure), found, _verdict(measurement, figure))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    sign = "≥" if figure.at_least else "≤"
    return f"{sign} {_value(figure, figure.goal)}"


def _verdict(measurement: Measurement, figure: Figure) -> str:
    if figure.goal is None:
        return ""
    if figure.reached:
        return "reached"
    return measurement.excuse or "not reached"


def _value(figure: Figure, value: float) -> str:
    digits = 0 if value >= 20 else 2
    return f"{value:.{digits}f}{figure.unit}"


def _section(measurement: Measurement) -> str:
    parts = [
        f"### {measurement.name}" if measurement.figures else "### Where the time of one job goes",
        f"{measurement.title}.",
    ]
    if measurement.facts:
        head, *body = measurement.facts
        rule = ["---", *["--:"] * (len(head) - 1)]
        parts.append("\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *body)))
    parts += measurement.notes
    parts.append(measurement.measured)
    parts += [
        f"![{curve.y} against {curve.x}](images/{_draw(curve)})" for curve in measurement.curves
    ]
    return "\n\n".join(filter(None, parts))


def _draw(curve: Curve) -> str:
    """Draw a curve as an SVG file; return the file's name."""
    figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    for label, points in curve.lines.items():
        style = "--" if label == "line" else "o-"
        axes.plot(*zip(*points, strict=True), style, label=label)
    if curve.logarithmic:
        axes.set_xscale("log")
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(curve.x)
    axes.set_ylabel(curve.y)
    axes.grid(alpha=0.3)
    if len(curve.lines) > 1:
        axes.legend()
    name = f"performance-{curve.name}.svg"
    figure.savefig(DOCS / "images" / name, metadata={"Date": None})
    plt.close(figure)
    return name
