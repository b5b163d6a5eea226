"""The running parts of the demo: PostgreSQL, a Kafka broker, a small university, a real worker."""

import asyncio
import http.client
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from service.db.engine import create_engine
from service.db.migrate import upgrade
from service.demo.broker import MockBroker
from service.demo.postgres import EmbeddedPostgres, find_binaries, version_of
from service.demo.processes import free_port
from service.demo.server import Command, LocalServer
from service.demo.university import University, seed
from service.settings import PREFIX

ShowProgress = Callable[[str], AbstractContextManager[None]]
"""Shows a text while the body of the context runs."""


class Worker(LocalServer):
    """`uploads serve` as a child process with its own settings; its home holds the storage root."""

    name: ClassVar[str] = "worker"
    stop_signal = signal.SIGTERM
    last_signal = signal.SIGKILL

    def __init__(self, database_url: str, bootstrap_servers: str) -> None:
        super().__init__()
        self._database_url = database_url
        self._bootstrap_servers = bootstrap_servers
        self._port = free_port()

    @property
    def storage(self) -> Path:
        """The directory that uploaded files are in."""
        return self.home / "storage"

    @property
    def settings(self) -> dict[str, str]:
        """The settings that a client needs as well, as environment variables."""
        return {
            "UPLOADS_DATABASE__URL": self._database_url,
            "UPLOADS_KAFKA__BOOTSTRAP_SERVERS": self._bootstrap_servers,
            "UPLOADS_STORAGE__ROOT": self.storage.as_uri(),
        }

    @property
    def state_and_log(self) -> str:
        """Whether the worker still runs, and the end of its log: a text for error messages."""
        state = "The worker runs" if self.is_running else "The worker has ended"
        lines = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        return f"{state}. The end of its log:\n{lines}"

    def _prepare(self) -> None:
        self.storage.mkdir(exist_ok=True)

    def _command(self) -> Command:
        return [sys.executable, "-m", "service", "serve"]

    def _identity(self) -> dict[str, Any]:
        # the settings of another installation must not reach the demo's worker
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(PREFIX)
        }
        environment |= self.settings
        environment |= {
            "UPLOADS_HTTP__HOST": "127.0.0.1",
            "UPLOADS_HTTP__PORT": str(self._port),
            "TMPDIR": str(self.home),
        }
        return {"env": environment}

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class Parts:
    """The running parts, as far as the story needs to know them."""

    worker: Worker
    database_url: str
    bootstrap_servers: str
    university: University


@contextmanager
def start_parts(show_progress: ShowProgress) -> Iterator[Parts]:
    """Start all parts; stop and remove them at the end.

    Raises `Unavailable` when a program is missing, `StartFailed` when a part does not start.
    """
    with ExitStack() as parts:
        with show_progress(f"PostgreSQL {version_of(find_binaries())}, embedded"):
            postgres = parts.enter_context(EmbeddedPostgres(fast=True))
        with show_progress("a Kafka broker, embedded (librdkafka's mock cluster)"):
            broker = parts.enter_context(MockBroker())
        with show_progress("the schema, as `uploads migrate` makes it"):
            asyncio.run(upgrade(postgres.url, report=lambda _: None))
        with show_progress("a small university, with rows of every source"):
            university = asyncio.run(_seed_university(postgres.url))
        with show_progress("a worker, as `uploads serve` runs it"):
            worker = parts.enter_context(Worker(postgres.url, broker.bootstrap_servers))
        yield Parts(worker, postgres.url, broker.bootstrap_servers, university)


async def _seed_university(database_url: str) -> University:
    engine = create_engine(database_url, pool_size=1)
    try:
        return await seed(engine)
    finally:
        await engine.dispose()
