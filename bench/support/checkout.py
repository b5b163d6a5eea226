"""Another checkout of the project: its commands and its worker, run but never imported."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import httpx

from service.demo.processes import Watcher, free_port
from tests.support.worker import environment

if TYPE_CHECKING:
    from service.settings import Settings

T = TypeVar("T")

LONGEST = 300.0
"""Seconds that a command, the start of a worker, or the jobs of one run may take."""
TO_STOP = 40.0
"""Seconds that a worker may take to end after SIGTERM."""
LAST_LINES = 15


class SideFailed(RuntimeError):
    """A command or a worker failed; the message names the checkout and shows its output."""


@dataclass(frozen=True)
class Checkout:
    """A checkout, and a directory for what its processes write: bytecode and logs."""

    name: str
    directory: Path
    home: Path

    @property
    def where(self) -> dict[str, Any]:
        """Directory and environment of its processes: its packages come before installed ones."""
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
        found_first = {"PYTHONPATH": str(self.directory), "PYTHONPYCACHEPREFIX": str(self.home)}
        return {"cwd": self.directory, "env": variables | found_first}

    def check(self) -> None:
        """Raise `SideFailed` unless its processes import `service` and `migrations` from it."""
        script = "import migrations, service; print(*service.__path__, *migrations.__path__)"
        found = self._run([sys.executable, "-c", script], self.where).strip()
        if found != f"{self.directory / 'service'} {self.directory / 'migrations'}":
            raise SideFailed(f"{self.name}: not the code of {self.directory} is imported: {found}")

    def commit(self) -> str:
        """The commit, with `-dirty` where files differ from it."""
        git = ["git", "-C", str(self.directory), "describe", "--always", "--dirty"]
        return self._run(git, {}).strip()

    async def migrate(self, url: str) -> None:
        """Migrate a database by the migrations of this checkout."""
        where = self.where
        where["env"]["UPLOADS_DATABASE__URL"] = url
        self._run([sys.executable, "-m", "service", "migrate"], where)

    @asynccontextmanager
    async def worker(self, settings: "Settings") -> AsyncIterator["Worker"]:
        """A new worker, ready to work; at the end it is stopped, so that it leaves its groups."""
        port, where = free_port(), self.where
        where["env"] |= environment(settings) | {"UPLOADS_HTTP__PORT": str(port)}
        with (self.home / "worker.log").open("w+b") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "service", "serve", stdout=log, stderr=log, **where
            )
            watcher = Watcher(process.pid, signal.SIGKILL)  # it ends when this process is gone
            try:
                worker = Worker(self.name, process, log)
                await worker.does("start", _ready(port))
                yield worker
                process.terminate()
                await worker.does("stop after SIGTERM", process.wait(), within=TO_STOP)
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
                watcher.dismiss()

    def _run(self, command: list[str], where: dict[str, Any]) -> str:
        """What a command prints."""
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=LONGEST, check=True, **where
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise SideFailed(f"{self.name}: {error}\n{_end_of(error.stderr or b'')}") from None
        return done.stdout.decode()


@dataclass(frozen=True)
class Worker:
    """A running worker of a checkout."""

    side: str
    process: asyncio.subprocess.Process
    log: IO[bytes]

    async def does(self, what: str, work: Coroutine[Any, Any, T], *, within: float = LONGEST) -> T:
        """The result of `work`. Raises `SideFailed`, also if the worker ends or time runs out."""
        doing, end = asyncio.create_task(work), asyncio.create_task(self.process.wait())
        try:
            await asyncio.wait((doing, end), timeout=within, return_when="FIRST_COMPLETED")
            if not doing.done():
                code = self.process.returncode
                why = f"{within:g} s passed" if code is None else f"it ended with code {code}"
            elif error := doing.exception():
                why = str(error)
            else:
                return doing.result()
        finally:
            doing.cancel()
            end.cancel()
            await asyncio.gather(doing, end, return_exceptions=True)
        self.log.seek(0)
        told = f"{self.side}: the worker did not {what}: {why}"
        raise SideFailed(f"{told}\n{_end_of(self.log.read())}")


def _end_of(output: bytes) -> str:
    return "\n".join(output.decode(errors="replace").splitlines()[-LAST_LINES:])


async def _ready(port: int) -> None:
    async with httpx.AsyncClient(timeout=5) as client:
        while True:
            with suppress(httpx.HTTPError):
                if (await client.get(f"http://127.0.0.1:{port}/health/ready")).is_success:
                    return
            await asyncio.sleep(0.1)
