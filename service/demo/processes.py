"""Processes and ports of the local servers."""

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
    """Ends a server when this process has ended, also when this process was killed by SIGKILL.

    A small shell script reads from a pipe whose other end this process holds. When the pipe closes,
    the script signals the server and removes the `left_over` directory. (`PR_SET_PDEATHSIG` is no
    alternative: it fires when the thread that started the server ends, and exists on Linux only.)
    """

    def __init__(
        self, pid: int, last_signal: signal.Signals, left_over: Path | None = None
    ) -> None:
        arguments = [str(pid), last_signal.name.removeprefix("SIG"), str(left_over or "")]
        self._shell = subprocess.Popen(  # noqa: S603 - the script is the constant above
            ["/bin/sh", "-c", _WATCHER, "watcher", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """End the watcher, once the server has ended: its pid may go to another process."""
        self._shell.kill()
        self._shell.communicate()


def free_port() -> int:
    """Return a free TCP port of 127.0.0.1, below the range of ports for outgoing connections.

    With a port inside that range, a client that connects while the server is down can be given the
    server's own port. It then connects to itself, and the server cannot start again.
    """
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("No free port was found on 127.0.0.1 between 20000 and 32000.")


def poll(condition: Callable[[], bool], *, within: float) -> bool:
    """Wait until the condition is true, for at most `within` seconds; return whether it is."""
    deadline = time.monotonic() + within
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return met


def children(pid: int) -> list[int]:
    """Return the pids of the children of a single-threaded process."""
    try:
        pids = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:  # no such file, as on macOS
        pgrep = ["pgrep", "-P", str(pid)]
        pids = subprocess.run(  # noqa: S603 - its only argument is a number
            pgrep, stdout=subprocess.PIPE, text=True, check=False
        ).stdout
    return [int(child) for child in pids.split()]


def send_signal(pid: int, which: signal.Signals) -> None:
    """Signal a process; do nothing if it has ended already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, which)


def is_alive(pid: int) -> bool:
    """Return True if a process still runs. A zombie does not, although its pid still exists."""
    with contextlib.suppress(OSError):
        # pid (name) state …; the name may itself contain parentheses and spaces
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
