"""Results of a measurement: figures against goals, printed at once and kept for the page."""

import json
import random
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

KEPT = Path(__file__).parents[2] / ".bench"
"""The directory of results until the page is written."""

MARGIN = 1.03
"""A median of after/before up to this is no loss, whatever its interval is."""


@dataclass
class Figure:
    """One number and its goal, if it has one. With `at_least`, more is better; else less is."""

    label: str
    value: float
    goal: float | None = None
    at_least: bool = True
    unit: str = ""

    @property
    def reached(self) -> bool:
        if self.goal is None:
            return True
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    @property
    def margin(self) -> float:
        """The factor by which the value is better than its goal; 1 is the goal itself."""
        if self.goal is None:
            return float("inf")
        low, high = (self.goal, self.value) if self.at_least else (self.value, self.goal)
        return high / low if low else float("inf")


@dataclass(frozen=True)
class Ratio:
    """The median of after/before over pairs of runs, with its bootstrap 95 % interval."""

    median: float
    low: float
    high: float

    @classmethod
    def of_pairs(cls, before: Sequence[float], after: Sequence[float]) -> Self:
        ratios = [new / old for old, new in zip(before, after, strict=True)]
        chance = random.Random(1)
        medians = [median(chance.choices(ratios, k=len(ratios))) for _ in range(10_000)]
        bounds = statistics.quantiles(medians, n=40)
        return cls(median(ratios), bounds[0], bounds[-1])

    @property
    def verdict(self) -> str:
        return "no loss" if self.median <= MARGIN or self.low <= 1 <= self.high else "LOSS"


@dataclass
class Curve:
    """Points to be drawn: `lines` are named series of (x, y)."""

    name: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]
    logarithmic: bool = False


@dataclass
class Measurement:
    """One measurement of the page: P1 to P10.

    `facts` are a table with a header; `notes` are sentences.
    """

    name: str
    title: str
    against: str
    figures: list[Figure] = field(default_factory=list)
    facts: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    excuse: str = ""
    """A reason that counts instead of the goal, such as proof that all cores are full."""
    measured: str = ""
    """When and by which command it was measured; empty until `keep`."""

    @property
    def verdict(self) -> str:
        if all(figure.reached for figure in self.figures):
            return "reached"
        return self.excuse or "not reached"

    def line(self) -> str:
        """The figure with the least margin, as `P1 1.03 (goal 1.00) reached`."""
        if not self.figures:
            return f"{self.name}: {self.title}"
        worst = min(self.figures, key=lambda figure: figure.margin)
        goal = "" if worst.goal is None else f" (goal {worst.goal:.2f}{worst.unit})"
        return f"{self.name} {worst.value:.2f}{worst.unit}{goal} {self.verdict}"

    def keep(self) -> None:
        """Print the line, and keep everything for the page."""
        command = shlex.join(["python", "-m", f"bench.{Path(sys.argv[0]).stem}", *sys.argv[1:]])
        self.measured = f"Measured on {datetime.now(UTC):%Y-%m-%d} by `{command}`."
        KEPT.mkdir(exist_ok=True)
        (KEPT / f"{self.name}.json").write_text(json.dumps(asdict(self), indent=1))
        print(self.line(), flush=True)

    @classmethod
    def kept(cls, name: str) -> Self:
        """Return the measurement that was kept under this name. Raises `FileNotFoundError`."""
        kept: dict[str, Any] = json.loads((KEPT / f"{name}.json").read_text())
        kept["figures"] = [Figure(**figure) for figure in kept["figures"]]
        kept["curves"] = [Curve(**curve) for curve in kept["curves"]]
        return cls(**kept)


def tell(what: str) -> None:
    """Print progress to stderr."""
    print(f"  {time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """`2.31 s (2.20 to 2.52)`: median, least and most."""
    return f"{median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"


def ratio_of_pairs(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times faster than theirs ours is: the median of the ratios of the pairs.

    Ratios of pairs cancel a slow drift of the machine.
    """
    return median([other / own for own, other in zip(ours, theirs, strict=True)])
