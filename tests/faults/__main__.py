"""`python -m tests.faults`: run every fault against the real servers, and print the table.

The exit code is 0 only if the service held against all faults. With names of faults as arguments
(`F1 F7`) only those run. `SEEDS=20` repeats F1 with twenty seeds; `SEED=7` begins with another one.
"""

import sys
import time
from pathlib import Path

import pytest

from tests.faults.report import FAULTS, Report, fault_of

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


class Reporter:
    """A pytest plugin: it holds the report, and leaves out the faults that were not asked for."""

    def __init__(self, names: list[str]) -> None:
        self.report = Report()
        self._names = names

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        # `tests/faults/conftest.py` reads this attribute
        config.fault_report = self.report  # type: ignore[attr-defined]

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if fault_of(item) in (self._names or FAULTS)]


def main(names: list[str]) -> int:
    started, reporter = time.monotonic(), Reporter(names)
    pytest.main(
        [str(HERE), "--faults=full", "-v", "--tb=short", "--show-capture=no"], plugins=[reporter]
    )
    report = reporter.report
    if names:
        report.faults = {
            name: measured for name, measured in report.faults.items() if name in names
        }
    else:
        write(report)
    print(f"\n{report.as_text()}\n\n{(time.monotonic() - started) / 60:.1f} minutes")  # noqa: T201 - a command's output
    return 0 if report.all_held else 1


def write(report: Report) -> None:
    """Put the table between the markers of docs/reliability.md."""
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{report.as_markdown()}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
