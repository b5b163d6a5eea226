"""Compares two checkouts of the project: the processor time that the same jobs take with each.

`python -m bench.pairs --before DIR [--after DIR] [--pairs 15] [--json FILE] [P1 P3]`

A checkout is run as processes in its own directory, by the Python that runs this command, and is
not imported. Both sides use one PostgreSQL and one broker, with a database and topics for each.
Each run starts a new worker, because two processes of the same code differ by a few percent.
Exit code 0 if every run succeeded, whatever the verdicts are.
"""

import argparse
import asyncio
import json
import signal
import statistics
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.support.checkout import Checkout
from bench.support.files import message, write_purchases
from bench.support.job_client import connected_client
from bench.support.result import Ratio, tell
from bench.support.servers import Servers, servers, settle
from bench.support.small_jobs import WARM_UP, RunningSystem, templates
from bench.support.workers import cpu_seconds, settings_of

if TYPE_CHECKING:
    import asyncpg

    from service.settings import Settings

Times = dict[str, float]
"""Seconds of one run, by `WHAT`."""
Jobs = tuple[list[dict[str, Any]], int]
"""Messages, and how many jobs are made of them in turn."""

HERE = Path(__file__).parents[1]
ROWS = ("P1", "P3")
WHAT = ("worker", "PostgreSQL", "elapsed")
UNITS = 500
AFTERWARDS = 0.3
"""Seconds after the last event that are measured too: the worker still commits its offsets."""


@dataclass
class Side:
    """One checkout with the database, the topics and the jobs of one row."""

    checkout: Checkout
    running: Servers
    settings: "Settings"
    conn: "asyncpg.Connection[Any]"
    warm_up: Jobs
    measured: Jobs
    ids: Iterator[int] = field(default_factory=lambda: count(1000))
    """Of all runs: a job with a lower id than one before it would be superseded."""

    async def run(self) -> Times:
        """Seconds of one run, by a new worker."""
        settings = self.settings
        async with self.checkout.worker(settings) as worker, connected_client(settings) as client:
            system = RunningSystem(settings, client, [], self.warm_up[0], self.ids)
            await worker.does("do the jobs to warm up", system.run(self.warm_up[1]))
            await settle(self.conn)
            pids = (worker.process.pid, self.running.postgres.pid)
            before = [cpu_seconds(pid) for pid in pids]
            system = RunningSystem(settings, client, [], self.measured[0], self.ids)
            elapsed = await worker.does("do the measured jobs", system.run(self.measured[1]))
            await asyncio.sleep(AFTERWARDS)
            after = [cpu_seconds(pid) for pid in pids]
        used = [end - start for start, end in zip(before, after, strict=True)]
        return dict(zip(WHAT, (*used, elapsed), strict=True))


@asynccontextmanager
async def side(
    checkout: Checkout, running: Servers, row: str, asked: argparse.Namespace
) -> AsyncIterator[Side]:
    """One side of a row; its database is migrated by its own code."""
    async with running.database(units=UNITS + 1, migrate=checkout.migrate) as (url, conn):
        settings = settings_of(running, url)
        jobs = large(settings, asked.p1_rows) if row == "P1" else small(settings, asked.p3_jobs)
        yield Side(checkout, running, settings, conn, *jobs)


def large(settings: "Settings", rows: int) -> tuple[Jobs, Jobs]:
    """The warm-up of P1 and its job, which replaces the rows of the run before."""
    root = Path(settings.storage.root.removeprefix("file://"))
    file = write_purchases(root / "large.csv", rows, units=UNITS)
    # of another unit, so that the warm-up does not replace these rows
    other = write_purchases(root / "other.csv", rows // 10, units=1, first_unit=UNITS + 1)
    return ([message(other, 1)], 1), ([message(file, 1)], 1)


def small(settings: "Settings", jobs: int) -> tuple[Jobs, Jobs]:
    """The warm-up of P3 and its jobs."""
    messages = templates(settings)
    return (messages, min(WARM_UP, jobs)), (messages, jobs)


async def compare(row: str, sides: Sequence[Side], pairs: int) -> dict[str, Any]:
    """Run both sides in turn (ABBA…), print the row, and return it for JSON."""
    for each in sides:
        await each.run()
    tell(f"{row}: each side ran once, which is not counted")
    runs: dict[str, list[Times]] = {each.checkout.name: [] for each in sides}
    before, after = runs.values()
    for number in range(pairs):
        for each in sides if number % 2 == 0 else sides[::-1]:
            runs[each.checkout.name].append(await each.run())
        told = ", ".join(f"{what} {after[-1][what] / before[-1][what]:.3f}" for what in WHAT)
        tell(f"{row}: pair {number + 1} of {pairs}, after/before: {told}")
    print(f"{row:<12}{'before':>10}{'after':>10}   after/before")
    found = {}
    for what in WHAT:
        old, new = ([times[what] for times in series] for series in (before, after))
        ratio = Ratio.of_pairs(old, new)
        found[what] = asdict(ratio) | {"verdict": ratio.verdict}
        seconds = f"{statistics.median(old):8.3f} s{statistics.median(new):8.3f} s"
        interval = f"{ratio.median:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"
        print(f"{what:<12}{seconds}   {interval:<25}{ratio.verdict}", flush=True)
    return {"after/before": found, "runs": runs}


async def main(asked: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with servers(autovacuum="off") as running:
        checkouts = []
        for name in ("before", "after"):
            checkout = Checkout(name, getattr(asked, name).resolve(), running.home / name)
            checkout.home.mkdir()
            checkout.check()
            found[name] = f"{checkout.directory} at {checkout.commit()}"
            tell(f"{name}: {found[name]}")
            checkouts.append(checkout)
        for row in asked.rows or ROWS:
            async with AsyncExitStack() as stack:
                opened = [side(each, running, row, asked) for each in checkouts]
                sides = [await stack.enter_async_context(each) for each in opened]
                found[row] = await compare(row, sides, asked.pairs)
    return found


def checkout_at(given: str) -> Path:
    path = Path(given)
    if not given or not (path / "service" / "__main__.py").is_file():
        raise argparse.ArgumentTypeError(f"{given!r} is not a checkout of this project")
    return path


def at_least_one(given: str) -> int:
    if int(given) < 1:
        raise argparse.ArgumentTypeError(f"{given} is less than 1")
    return int(given)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.pairs", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="P1 P3", help="default: both")
    parser.add_argument("--before", type=checkout_at, required=True, metavar="DIR")
    parser.add_argument("--after", type=checkout_at, default=HERE, metavar="DIR")
    parser.add_argument("--pairs", type=at_least_one, default=15)
    parser.add_argument("--p1-rows", type=at_least_one, default=100_000)
    parser.add_argument("--p3-jobs", type=at_least_one, default=400)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all runs there")
    chosen = parser.parse_args()
    if unknown := set(chosen.rows).difference(ROWS):
        parser.error(f"no such row: {', '.join(unknown)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl+C: stop all, then end
    try:
        result = asyncio.run(main(chosen))
    except RuntimeError as error:
        sys.exit(f"bench.pairs: {error}")
    except KeyboardInterrupt:
        sys.exit("bench.pairs: stopped")
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1))
