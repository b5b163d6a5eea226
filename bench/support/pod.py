"""A small pod: a process with a quarter of a core and 512 MiB, by control groups if possible."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHARE = 0.25
MEMORY = 512 * 2**20
PERIOD = 0.1
"""Seconds of a period; in each, the process may run for `SHARE` of the time."""

ROOT = Path("/sys/fs/cgroup")
NAME = f"uploads-bench-{os.getpid()}"


@contextmanager
def pod(pid: int) -> Iterator[str]:
    """Limit a running process to a small pod; yield in words how this is done."""
    groups = _groups()
    try:
        for group, limits in groups.items():
            group.mkdir()
            for name, value in limits.items():
                (group / name).write_text(str(value))
            (group / "cgroup.procs").write_text(str(pid))
    except OSError:
        _remove(groups)
        with _stopped_and_continued(pid):
            yield (
                "stopped for three quarters of the time, its memory not limited: "
                "control groups can't be used here"
            )
        return
    try:
        yield "a control group of a quarter core and 512 MiB"
    finally:
        _remove(groups)


def _groups() -> dict[Path, dict[str, int | str]]:
    """The groups and their limits, of version 2 or 1."""
    period = int(PERIOD * 1e6)
    quota = int(period * SHARE)
    if (ROOT / "cgroup.controllers").exists():
        return {ROOT / NAME: {"cpu.max": f"{quota} {period}", "memory.max": MEMORY}}
    return {
        ROOT / "cpu" / NAME: {"cpu.cfs_period_us": period, "cpu.cfs_quota_us": quota},
        ROOT / "memory" / NAME: {"memory.limit_in_bytes": MEMORY},
    }


def _remove(groups: dict[Path, dict[str, int | str]]) -> None:
    """Move the processes back to the parent groups, and remove the groups."""
    for group in groups:
        if group.is_dir():
            for pid in (group / "cgroup.procs").read_text().split():
                (group.parent / "cgroup.procs").write_text(pid)
            group.rmdir()


@contextmanager
def _stopped_and_continued(pid: int) -> Iterator[None]:
    done = threading.Event()

    def alternate() -> None:
        while not done.wait(PERIOD * SHARE):
            os.kill(pid, signal.SIGSTOP)
            done.wait(PERIOD * (1 - SHARE))
            os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=alternate, name="quarter core")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
