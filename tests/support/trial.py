"""A trial: one fault's own database, topics and files, the uploads sent, the workers, and the oracle at the end."""

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
from tests.support.load import Load, Upload
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
    """What a fault test works with."""

    settings: Settings
    university: University
    jobs: Jobs
    load: Load
    client: Client
    logs: Path
    uploads: dict[int, Upload] = field(default_factory=dict)
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
        """A trial on a migrated database and a broker; `settings` are those of `settings_for`."""
        root = home / "the root"
        root.mkdir(parents=True)
        engine = create_engine(database, pool_size=4)
        try:
            university = await University.found(engine)
            jobs = Jobs(engine, root)
            of_worker = settings_for(database, bootstrap_servers, root, prefix, **settings)
            async with client(of_worker) as there:
                yield cls(of_worker, university, jobs, Load(university, jobs, seed), there, home)
        finally:
            await engine.dispose()

    async def send(self, *uploads: Upload, key: bytes | None = None) -> None:
        """Produce the messages of these uploads, to any partition unless a key says which."""
        for upload in uploads:
            self.uploads[upload.job_id] = upload
            await self.send_value(
                upload.provider_type, upload.message, key=key or self.load.random.randbytes(4)
            )

    async def send_value(
        self, provider_type: ProviderType, value: bytes | None, **more: Any
    ) -> tuple[str, int, int]:
        """Produce any record to a topic of jobs; where it lies."""
        sent = await self.client.send(provider_type, value, **more)
        return sent.topic, sent.partition, sent.offset

    def worker(self, *, crash_at: str = "", settings: Settings | None = None) -> Process:
        """A worker process that is still to be started; its log is a file of its own."""
        self._workers += 1
        return Process(
            settings or self.settings,
            log=self.logs / f"worker {self._workers}.log",
            crash_at=crash_at,
        )

    @contextmanager
    def working(self, **more: Any) -> Iterator[Process]:
        """A worker process, started, and killed at the end where it still runs."""
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

    async def settled(self) -> int:
        """How many have come to an end, one way or the other."""
        return await self.ended() + await self.parked()

    async def drained(self, *, within: float) -> None:
        """Wait until every group has committed behind everything that lies on its topic by now."""

        ends: dict[tuple[str, int], int] = {}

        async def behind() -> bool:
            nonlocal ends
            with suppress(KafkaError, SQLAlchemyError, OSError):
                if await self.scalar(_OPEN.bindparams(sent=list(self.uploads))):
                    return False
                ends = ends or await end_offsets(self.settings.kafka)
                committed = await committed_offsets(self.settings.kafka)
                self._behind = {at: end for at, end in ends.items() if committed.get(at, 0) < end}
                return not self._behind
            return False

        try:
            await until(behind, within=within, every=0.3, what="everything is done and committed")
        except AssertionError as error:
            raise AssertionError(f"{error}\nstill to come: {self._behind}\n{self.tail()}") from None

    def tail(self, lines: int = 40) -> str:
        """The end of every worker's log."""
        logs = sorted(self.logs.glob("*.log"))
        return "\n".join(
            f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-lines:]) for log in logs
        )

    async def examine(self, *, drained: bool = True) -> Findings:
        """What the oracle finds."""
        return await examine(
            self.university.engine, self.settings.kafka, self.uploads.values(), drained=drained
        )
