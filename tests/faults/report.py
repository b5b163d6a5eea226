"""The report of the fault tests: a table for the terminal and for docs/reliability.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from tests.support.oracle import Findings

FAULTS: Mapping[str, str] = {
    "F1": "SIGKILL at each named point",
    "F2": "random kills under load, three workers",
    "F3": "2 to 4 jobs at once on one scope",
    "F4": "jobs over the same scopes in opposite order",
    "F5": "an old dead letter replayed after a newer success",
    "F6": "same job id, other content; same message 1 to 5 times",
    "F7": "PostgreSQL stopped with jobs queued",
    "F8": "INSERT revoked; a column dropped; disk full",
    "F9": "nothing but poison; 1 % poison",
    "F10": "dead-letter topic refuses; record too large",
    "F11": "undecodable bytes, tombstone, garbage, lone surrogates",
    "F12": "broker frozen; killed and restarted",
    "F13": "a job three times as long as the poll interval",
    "F14": "SIGTERM in mid-job, broker up or down",
    "F15": "hostile and broken files and sources",
    "F16": "cancelled at every await of the write path",
    "F17": "connection cut exactly during COMMIT",
    "F18": "two operators replay at once; killed in mid-replay",
    "F19": "planted secrets",
}

_BY_FILE = dict.fromkeys(("test_input_safety.py", "test_file_size.py", "test_sources.py"), "F15")
"""Files whose tests all belong to one fault; each test is a round."""

Verdict = Literal["held", "broken", "not run"]


def fault_of(item: pytest.Item) -> str | None:
    """The name of the fault that a test belongs to, by its mark `fault` or its file; else None."""
    marker = item.get_closest_marker("fault")
    return marker.args[0] if marker else _BY_FILE.get(item.path.name)


@dataclass(slots=True)
class Measured:
    """What happened under one fault, in all its rounds."""

    rounds: int = 0
    lost: int = 0
    doubled: int = 0
    parked: int = 0
    slowest: float | None = None
    """The longest time until work went on, in seconds, for faults that stop the service."""

    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def round(
        self, findings: Findings | None = None, *, seconds: float | None = None, times: int = 1
    ) -> None:
        """Note `times` rounds; raise AssertionError if the oracle found anything wrong."""
        self.rounds += times
        if seconds is not None:
            self.slowest = max(seconds, self.slowest or 0.0)
        if findings is not None:
            self.lost += len(findings.lost)
            self.doubled += len(findings.doubled)
            self.parked += findings.parked
            assert not findings.all, "\n".join(findings.all[:20])

    @property
    def verdict(self) -> Verdict:
        if self.failed:
            return "broken"
        if self.skipped or not self.rounds:
            return "not run"
        return "held"


@dataclass(slots=True)
class Report:
    """A line for each fault, in the order of `FAULTS`."""

    faults: dict[str, Measured] = field(
        default_factory=lambda: {name: Measured() for name in FAULTS}
    )

    @property
    def all_held(self) -> bool:
        return all(measured.verdict == "held" for measured in self.faults.values())

    def cells(self) -> list[tuple[str, ...]]:
        """The cells of the table, head included."""
        head = ("fault", "", "rounds", "lost", "doubled", "parked", "recovery", "verdict")
        return [head, *(_cells(name, measured) for name, measured in self.faults.items())]

    def as_text(self) -> str:
        """The table for a terminal, and the reasons why a fault was not held or not run."""
        rows = self.cells()
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join(lines + self._reasons())

    def as_markdown(self) -> str:
        """The table for docs/reliability.md."""
        head, *rows = ("| " + " | ".join(row) + " |" for row in self.cells())
        return "\n".join([head, "|---|---|--:|--:|--:|--:|--:|---|", *rows, *self._reasons()])

    def _reasons(self) -> list[str]:
        lines = [
            f"{name} {what}: {reason}"
            for name, measured in self.faults.items()
            for what, reasons in (("broken", measured.failed), ("not run", measured.skipped))
            for reason in dict.fromkeys(reasons)
        ]
        return ["", *lines] if lines else []


def _cells(name: str, measured: Measured) -> tuple[str, ...]:
    if not measured.rounds:
        return name, FAULTS[name], "", "", "", "", "", measured.verdict
    counts = (measured.rounds, measured.lost, measured.doubled, measured.parked)
    recovery = "" if measured.slowest is None else f"{measured.slowest:.1f} s"
    return name, FAULTS[name], *(f"{count:,}" for count in counts), recovery, measured.verdict
