"""A server run as our own child on 127.0.0.1: started, paused, killed, started again on the same data."""

import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from service.demo.processes import Watcher, children, is_alive, poll, send

Command = Sequence[str | Path]


class Unavailable(RuntimeError):
    """This server cannot be run here; the message says what is missing and what to install."""


class StartFailed(RuntimeError):
    """The server did not start; the message ends with the last lines of its log."""


class LocalServer(ABC):
    """The life of a local server: `start`, `stop`, `kill`, `pause`, `resume`, and `start` again.

    Everything it keeps is in one directory, `home`: a temporary one, removed by `close`, unless one is
    given. It never outlives this process.
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    last_signal: ClassVar[signal.Signals]
    """What ends it, children included, when this process is gone."""
    start_timeout: ClassVar[float] = 60.0
    stop_timeout: ClassVar[float] = 30.0

    def __init__(self, home: Path | None = None) -> None:
        self._given_home = home
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: Watcher | None = None
        self._log_start = 0

    @abstractmethod
    def _prepare(self) -> None:
        """Make what the server needs in its home, unless it is there already."""

    @abstractmethod
    def _command(self) -> Command: ...

    @abstractmethod
    def _is_ready(self) -> bool: ...

    def _identity(self) -> dict[str, Any]:
        """Whom it runs as, and in which environment, in the words of `subprocess`; by default as we do."""
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
        """The server's process; raises RuntimeError when it was not started, or has been stopped."""
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
        """Start it, on the data it had, and return when it answers.

        Raises `Unavailable` when a program is missing, `StartFailed` when it ended or took too long.
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
        """Ask it to end in good order, and wait until it has."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it with all its processes at once by SIGKILL, as a crash would."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGSTOP)  # so that it starts no more children
        orphans = children(self._process.pid)
        for child in orphans:
            send(child, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        poll(lambda: not any(map(is_alive, orphans)), within=10.0)
        self._forget()

    def pause(self) -> None:
        """Freeze it with all its processes: connections stay open, and nothing answers."""
        self._running().send_signal(signal.SIGSTOP)
        for child in children(self.pid):
            send(child, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        for child in children(self.pid):
            send(child, signal.SIGCONT)
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop it, and remove its home if that is a temporary one."""
        self.stop()
        if self._given_home is None and "home" in self.__dict__:
            shutil.rmtree(self.home, ignore_errors=True)
            del self.home

    def _end(self, by: signal.Signals) -> None:
        if self._process is None:
            return
        if self.is_running:
            self.resume()
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
        how = (
            "ended while starting" if in_time else f"did not answer within {self.start_timeout:g} s"
        )
        self.kill()
        lines = "\n".join(self._logged().splitlines()[-15:])
        raise StartFailed(f"{self.name} {how}. The end of its log:\n{lines}")

    def _logged(self) -> str:
        """What it wrote to its log since it was last started."""
        return self.log.read_bytes()[self._log_start :].decode(errors="replace")

    def _run(self, command: Command) -> None:
        """Run one of the server's tools to its end; raises `StartFailed` with what it printed."""
        with self._spawn(command, subprocess.PIPE) as tool:
            said, _ = tool.communicate()
        if tool.returncode:
            raise StartFailed(
                f"{Path(command[0]).name} failed:\n{said.decode(errors='replace').strip()}"
            )

    def _spawn(self, command: Command, output: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=self.home,
            start_new_session=True,  # a Ctrl-C at the terminal is for us, who then stop it
            **self._identity(),
        )

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"This {self.name} is not running; start it first.")
        return self._process
