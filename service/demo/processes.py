"""Processes and ports of the local servers: whose child is whose, who lives, and who ends what when we are gone."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

_WATCHER = """
read -r _
kill -s "$2" "$1" && kill -s CONT "$1"
for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$1" || break; sleep 1; done
kill -s KILL "$1"
[ -z "$3" ] || rm -rf "$3"
"""


class Watcher:
    """Ends a server when this process is gone, however it went, SIGKILL included.

    A few lines of shell hold the end of a pipe whose other end is ours; when it closes, they signal
    the server and remove `litter`. (`PR_SET_PDEATHSIG` will not do: it fires when the thread that
    started the server ends, and exists on Linux only.)
    """

    def __init__(self, pid: int, last_signal: signal.Signals, litter: Path | None = None) -> None:
        arguments = [str(pid), last_signal.name.removeprefix("SIG"), str(litter or "")]
        self._shell = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", _WATCHER, "watcher", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """Call it off; due once the server has ended, since its pid may go to another process."""
        self._shell.kill()
        self._shell.communicate()


def free_port() -> int:
    """A free TCP port of 127.0.0.1, below the range that outgoing connections take theirs from.

    From inside that range, a client that knocks while the server is away can get the server's own
    port, connect to itself, and keep the server from coming back.
    """
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("No free port was found on 127.0.0.1 between 20000 and 32000.")


def poll(condition: Callable[[], bool], *, within: float) -> bool:
    """Whether the condition came true in time (seconds)."""
    deadline = time.monotonic() + within
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return met


def children(pid: int) -> list[int]:
    """The pids of a single-threaded process's children."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:  # no such file, as on macOS
        pgrep = ["pgrep", "-P", str(pid)]
        listed = subprocess.run(pgrep, stdout=subprocess.PIPE, text=True, check=False).stdout  # noqa: S603
    return [int(child) for child in listed.split()]


def send(pid: int, which: signal.Signals) -> None:
    """Signal a process that may have ended already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, which)


def is_alive(pid: int) -> bool:
    """Whether a process still runs; a zombie, which nobody may ever reap, does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
