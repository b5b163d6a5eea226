"""A trial: the database, topics, files and workers of one fault test, and the uploads it sends."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiokafka.errors import KafkaError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from service.db.engine import create_engine
from service.domain.provider_types import ProviderType
from service.settings import Settings
from tests.support.jobs import Jobs
from tests.support.load import Load, SentUpload
from tests.support.oracle import Findings, committed_offsets, end_offsets, examine
from tests.support.university import University
from tests.support.until import until
from tests.support.worker import Client, Process, client, process, settings_for

_ENDED = text("SELECT count(*) FROM upload_jobs WHERE announced_at IS NOT NULL")
_OPEN = text("""
    SELECT count(*) FROM unnest(CAST(:sent AS bigint[])) AS sent (id)
    WHERE NOT EXISTS (SELECT FROM upload_jobs WHERE job_id = sent.id AND announced_at IS NOT NULL)
      AND NOT EXISTS (SELECT FROM dead_letters WHERE job_id = sent.id)
""")
_PARKED = text("SELECT count(*) FROM dead_letters")


@dataclass(slots=True)
class Trial:
    """What a fault test works with; at the end the oracle examines it."""

    settings: Settings
    university: University
    jobs: Jobs
    load: Load
    client: Client
    logs: Path
    uploads: dict[int, SentUpload] = field(default_factory=dict)
    _workers: int = 0
    _behind: dict[tuple[str, int], int] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        database: str,
        bootstrap_servers: str,
        home: Path,
        prefix: str,
        *,
        seed: int = 1,
        **settings: Any,
    ) -> AsyncIterator[Self]:
        """Open a trial on a migrated database and a broker.

        `settings` are those of `settings_for`.
        """
        root = home / "the root"
        root.mkdir(parents=True)
        engine = create_engine(database, pool_size=4)
        try:
            university = await University.seed(engine)
            jobs = Jobs(engine, root)
            worker_settings = settings_for(database, bootstrap_servers, root, prefix, **settings)
            async with client(worker_settings) as kafka_client:
                yield cls(
                    worker_settings,
                    university,
                    jobs,
                    Load(university, jobs, seed),
                    kafka_client,
                    home,
                )
        finally:
            await engine.dispose()

    async def send(self, *uploads: SentUpload, key: bytes | None = None) -> None:
        """Produce the messages of these uploads; without a key, to random partitions."""
        for upload in uploads:
            self.uploads[upload.job_id] = upload
            await self.send_value(
                upload.provider_type, upload.message, key=key or self.load.random.randbytes(4)
            )

    async def send_value(
        self, provider_type: ProviderType, value: bytes | None, **more: Any
    ) -> tuple[str, int, int]:
        """Produce any record to a job topic; return its topic, partition and offset."""
        sent = await self.client.send(provider_type, value, **more)
        return sent.topic, sent.partition, sent.offset

    def worker(self, *, crash_at: str = "", settings: Settings | None = None) -> Process:
        """A worker process that is not started yet; it has its own log file."""
        self._workers += 1
        return Process(
            settings or self.settings,
            log=self.logs / f"worker {self._workers}.log",
            crash_at=crash_at,
        )

    @contextmanager
    def working(self, **more: Any) -> Iterator[Process]:
        """Run a worker process; kill it at the end if it still runs."""
        self._workers += 1
        log = self.logs / f"worker {self._workers}.log"
        with process(more.pop("settings", self.settings), log, **more) as worker:
            yield worker

    async def scalar(self, query: Any) -> Any:
        async with self.university.engine.connect() as conn:
            return await conn.scalar(query)

    async def ended(self) -> int:
        """How many jobs have ended and been announced."""
        return int(await self.scalar(_ENDED))

    async def parked(self) -> int:
        """How many records are parked."""
        return int(await self.scalar(_PARKED))

    async def finished(self) -> int:
        """How many jobs have ended, and records are parked, together."""
        return await self.ended() + await self.parked()

    async def drained(self, *, within: float) -> None:
        """Wait until every job has ended and every group has committed its topic to the end."""

        ends: dict[tuple[str, int], int] = {}

        async def is_drained() -> bool:
            nonlocal ends
            with suppress(KafkaError, SQLAlchemyError, OSError):
                if await self.scalar(_OPEN.bindparams(sent=list(self.uploads))):
                    return False
                ends = ends or await end_offsets(self.settings.kafka)
                committed = await committed_offsets(self.settings.kafka)
                self._behind = {
                    place: end for place, end in ends.items() if committed.get(place, 0) < end
                }
                return not self._behind
            return False

        try:
            await until(
                is_drained, within=within, every=0.3, what="everything is done and committed"
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\nstill to come: {self._behind}\n{self.tail()}") from None

    def tail(self, lines: int = 40) -> str:
        """The last lines of every worker's log."""
        logs = sorted(self.logs.glob("*.log"))
        return "\n".join(
            f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-lines:]) for log in logs
        )

    async def examine(self, *, drained: bool = True) -> Findings:
        """Return what the oracle finds."""
        return await examine(
            self.university.engine, self.settings.kafka, self.uploads.values(), drained=drained
        )
