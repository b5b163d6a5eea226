"""A local server as a child process: start, pause, kill, and start again on the same data."""

import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from service.demo.processes import Watcher, children, is_alive, poll, send_signal

Command = Sequence[str | Path]


class Unavailable(RuntimeError):
    """This server cannot be run here; the message says what is missing and what to install."""


class StartFailed(RuntimeError):
    """The server did not start; the message ends with the last lines of its log."""


class LocalServer(ABC):
    """The life of a local server: `start`, `stop`, `kill`, `pause`, `resume`, and `start` again.

    It listens on 127.0.0.1. All its files are in one directory, `home`. This is a temporary
    directory that `close` removes, unless one is given. The server never outlives this process.
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    last_signal: ClassVar[signal.Signals]
    """The signal that ends it, children included, when this process has ended."""
    start_timeout: ClassVar[float] = 60.0
    stop_timeout: ClassVar[float] = 30.0

    def __init__(self, home: Path | None = None) -> None:
        self._given_home = home
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: Watcher | None = None
        self._log_start = 0

    @abstractmethod
    def _prepare(self) -> None:
        """Create the files that the server needs in its home, unless they are there already."""

    @abstractmethod
    def _command(self) -> Command:
        """Return the command that runs the server."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Return True once the server answers."""

    def _identity(self) -> dict[str, Any]:
        """Return the `Popen` arguments for its user and environment; by default there are none."""
        return {}

    @cached_property
    def home(self) -> Path:
        """The directory with the server's data and its log."""
        if self._given_home is None:
            return Path(tempfile.mkdtemp(prefix=f"uploads-{self.name}-"))
        self._given_home.mkdir(parents=True, exist_ok=True)
        return self._given_home.resolve()

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    @property
    def pid(self) -> int:
        """The server's pid; raises RuntimeError if it was not started, or has been stopped."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start it, on the data that it had before, and return when it answers.

        Raises `Unavailable` if a program is missing, `StartFailed` if it ends or takes too long.
        """
        if self.is_running:
            raise RuntimeError(f"This {self.name} is running already (pid {self.pid}).")
        self._prepare()
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = self._spawn(self._command(), log)
        self._watcher = Watcher(self.pid, self.last_signal, None if self._given_home else self.home)
        self._await_ready()

    def stop(self) -> None:
        """Ask it to end cleanly, and wait until it has ended."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """Kill it and all its child processes at once with SIGKILL, as a crash would."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGSTOP)  # a stopped process starts no more children
        orphans = children(self._process.pid)
        for child in orphans:
            send_signal(child, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        poll(lambda: not any(map(is_alive, orphans)), within=10.0)
        self._forget()

    def pause(self) -> None:
        """Freeze it and all its child processes: connections stay open, and nothing answers."""
        self._running().send_signal(signal.SIGSTOP)
        for child in children(self.pid):
            send_signal(child, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it continue after `pause`."""
        for child in children(self.pid):
            send_signal(child, signal.SIGCONT)
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop it, and remove its home if this is a temporary directory."""
        self.stop()
        if self._given_home is None and "home" in self.__dict__:
            shutil.rmtree(self.home, ignore_errors=True)
            del self.home

    def _end(self, by: signal.Signals) -> None:
        if self._process is None:
            return
        if self.is_running:
            self.resume()  # a paused process does not handle signals
            self._process.send_signal(by)
        try:
            self._process.wait(self.stop_timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._forget()

    def _forget(self) -> None:
        if self._watcher is not None:
            self._watcher.dismiss()
        self._process = self._watcher = None

    def _await_ready(self) -> None:
        in_time = poll(lambda: not self.is_running or self._is_ready(), within=self.start_timeout)
        if in_time and self.is_running:
            return

        problem = f"did not answer within {self.start_timeout:g} s"
        if in_time:
            problem = "ended while starting"
        self.kill()
        lines = "\n".join(self._log_since_start().splitlines()[-15:])
        raise StartFailed(f"{self.name} {problem}. The end of its log:\n{lines}")

    def _log_since_start(self) -> str:
        """Return what it has written to its log since the last start."""
        return self.log.read_bytes()[self._log_start :].decode(errors="replace")

    def _run(self, command: Command) -> None:
        """Run one of the server's tools to its end; raises `StartFailed` with its output."""
        with self._spawn(command, subprocess.PIPE) as tool:
            output, _ = tool.communicate()
        if tool.returncode:
            message = output.decode(errors="replace").strip()
            raise StartFailed(f"{Path(command[0]).name} failed:\n{message}")

    def _spawn(self, command: Command, output: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - subclasses give the command
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=self.home,
            start_new_session=True,  # Ctrl-C reaches only this process, which then stops it
            **self._identity(),
        )

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"This {self.name} is not running; start it first.")
        return self._process
