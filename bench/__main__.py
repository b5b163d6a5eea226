"""`python -m bench [--full] [P1 P7 …]`: measure every row, then write docs/performance.md.

Each row runs in its own process. The exit code is 0 if every row ran; people judge whether a goal
was reached.
"""

import argparse
import subprocess
import sys
import time

from bench import page
from bench.support.result import KEPT, tell

SHORT: dict[str, list[str]] = {
    "prepare_alone": ["--rows", "20000", "--runs", "5"],
    "large_job": ["--runs", "5"],
    "many_jobs": ["--jobs", "400", "--runs", "5"],
    "more_workers": ["--jobs", "300", "--runs", "3"],
    "small_job": ["--jobs", "200"],
    "alternatives": ["--runs", "1"],
    "growth": ["--modules", "1", "100", "500", "2500"],
    "repeats": ["--rows", "100000"],
    "small_pod": [],
    "where": [],
}
"""What `make bench` runs, in under a quarter of an hour."""

FULL: dict[str, list[str]] = {
    "prepare_alone": ["--rows", "50000", "--runs", "11"],
    "large_job": ["--runs", "9"],
    "many_jobs": [],
    "more_workers": [],
    "small_job": ["--jobs", "1000"],
    "alternatives": [],
    "growth": [
        "--rows",
        "1000",
        "10000",
        "100000",
        "1000000",
        "3000000",
        "--others",
        "0",
        "1000000",
        "10000000",
    ],
    "repeats": [],
    "small_pod": [],
    "where": [],
}
"""What `make bench-full` runs, in about an hour and a half."""

NAMES: dict[str, tuple[str, ...]] = {
    "large_job": ("P1", "P2"),
    "many_jobs": ("P3",),
    "more_workers": ("P4",),
    "small_job": ("P5",),
    "alternatives": ("P6",),
    "growth": ("P7",),
    "repeats": ("P8",),
    "small_pod": ("P9",),
    "prepare_alone": ("P10",),
    "where": ("where",),
}


def main(asked: set[str], *, full: bool) -> int:
    commands = {
        command: arguments
        for command, arguments in (FULL if full else SHORT).items()
        if not asked or asked.intersection(NAMES[command])
    }
    failed = []
    for number, (command, arguments) in enumerate(commands.items(), 1):
        names = ", ".join(NAMES[command])
        tell(f"[{number} of {len(commands)}] {names}: bench.{command} {' '.join(arguments)}")
        for name in NAMES[command]:
            (KEPT / f"{name}.json").unlink(missing_ok=True)

        before = time.monotonic()
        process = [sys.executable, "-m", f"bench.{command}", *arguments]
        if subprocess.run(process, check=False).returncode:
            failed += NAMES[command]
            print(f"{names} did not run", flush=True)
        tell(f"took {time.monotonic() - before:.0f} s")
    page.write([name for names in NAMES.values() for name in names])
    return 1 if failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="rows, P1 to P10; all of them by default"
    )
    parser.add_argument(
        "--full", action="store_true", help="the long form, with more rows and runs"
    )
    chosen = parser.parse_args()
    sys.exit(main(set(chosen.names), full=chosen.full))
