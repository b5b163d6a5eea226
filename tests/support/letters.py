"""Dead letters without Kafka: the real code parks and replays, with topics kept in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from service.contract.messages import job_id_of, parse_job
from service.contract.topics import Topics
from service.db.dead_letters import Filter, Letter, find_letters
from service.dead_letters.audit import ActionReport, OperatorAction, audited
from service.dead_letters.pace import Pace
from service.dead_letters.park import park_record
from service.dead_letters.parked_record import Failure, Incoming
from service.dead_letters.replay import replay_letters
from service.dead_letters.select import select_letters
from service.dead_letters.send import Sender
from service.dead_letters.verdict import Judge, Judgement
from service.domain.errors import Poison
from service.domain.model import LetterState, Position, Record
from service.domain.provider_types import ProviderType
from service.jobs.processor import JobContext
from service.settings import LimitSettings
from tests.support.jobs import Jobs

OPEN = (LetterState.OPEN,)


@dataclass
class LettersWithoutKafka:
    """A worker, an operator, and the topics between them.

    `waiting` are the records that were sent and are not delivered yet.
    """

    jobs: Jobs
    topics: Topics = field(default_factory=lambda: Topics("uploads"))
    dead: list[Record] = field(default_factory=list)
    waiting: list[Record] = field(default_factory=list)
    offset: int = 0

    @property
    def engine(self) -> Any:
        return self.jobs.processor.engine

    def judge(self) -> Judge:
        return Judge(
            self.engine,
            self.jobs.processor.dependencies.store,
            LimitSettings(),
            self.topics,
            self.read,
        )

    async def deliver(self, record: Record) -> UUID | None:
        """Process one record as a worker does.

        Returns the id of the dead letter that it becomes, None if its job comes to an end.
        """
        provider_type = self.topics.provider_type(record.topic)
        assert provider_type is not None
        self.offset += 1
        now, job, context = datetime.now(UTC), None, JobContext()
        incoming = Incoming(record, 0, self.offset, now, record.topic, provider_type)
        try:
            job = parse_job(provider_type, record.value)
            await self.jobs.processor.process(job, context)
        except Poison as error:
            known = (
                {"modules": context.modules_of(job)}
                if job
                else {"id_read": job_id_of(record.value)}
            )
            failure = Failure(error, "prepare" if job else "decode", 1, now, now, job, **known)
            assert await park_record(
                self.engine, self.publish, self.topics, "/test", incoming, failure
            )
            return incoming.dead_letter_id
        return None

    async def park(self, provider_type: ProviderType, value: bytes | None, **record: Any) -> UUID:
        """Deliver a message that is poison, and return the id of its dead letter."""
        letter_id = await self.deliver(
            Record(self.topics.job_topic(provider_type), record.pop("key", b"k"), value, **record)
        )
        assert letter_id is not None, "it was to be parked"
        return letter_id

    async def deliver_waiting(self) -> list[UUID | None]:
        """Deliver all records that were sent, and return the ids of the dead letters among them."""
        waiting, self.waiting = self.waiting, []
        return [await self.deliver(record) for record in waiting]

    async def publish(self, record: Record) -> Position:
        if record.topic == self.topics.dead_letter:
            self.dead.append(record)
            return Position(0, len(self.dead) - 1)
        if record.topic != self.topics.completed:
            self.waiting.append(record)
        return Position(0, 0)

    async def read(self, positions: Sequence[Position]) -> Mapping[Position, Record]:
        return {
            position: self.dead[position.offset]
            for position in positions
            if position.offset < len(self.dead)
        }

    async def letter(self, letter_id: UUID) -> Letter:
        (letter,) = await self.letters(ids=(str(letter_id),))
        return letter

    async def letters(self, **chosen: Any) -> list[Letter]:
        async with self.engine.connect() as conn:
            return await find_letters(conn, Filter(**chosen))

    async def state(self, letter_id: UUID) -> str:
        return (await self.letter(letter_id)).state.value

    async def judged(self, letter_id: UUID) -> Judgement:
        letter = await self.letter(letter_id)
        (judgement,) = [one async for one in self.judge().judge_letters([letter])]
        return judgement

    async def verdict(self, letter_id: UUID) -> str:
        return (await self.judged(letter_id)).finding.verdict.value

    def sender(self, by: str = "me", action_id: int = 1) -> Sender:
        return Sender(self.engine, self.publish, self.topics, by, action_id)

    async def replay(
        self,
        *ids: UUID,
        by: str = "me",
        force: bool = False,
        pace: Pace | None = None,
        **chosen: Any,
    ) -> ActionReport:
        """Replay open letters as the command does."""
        wanted = Filter(ids=tuple(map(str, ids)), **{"states": OPEN, **chosen})
        async with self.engine.connect() as conn:
            letters = await select_letters(conn, wanted)
        action = OperatorAction(by, "replay", {"ids": list(map(str, ids))})
        async with audited(self.engine, action, [letter.id for letter in letters]) as report:
            sender = self.sender(by, report.action_id)
            await replay_letters(
                sender,
                self.judge(),
                letters,
                report,
                pace=pace or Pace(),
                force=force,
                tell=lambda *_: None,
            )
        return report

    async def execute(self, statement: str, **values: Any) -> None:
        """Run one SQL statement."""
        async with self.engine.begin() as conn:
            await conn.execute(text(statement), values)

    async def row(self, query: str) -> tuple[Any, ...]:
        """Return the one row of a query."""
        async with self.engine.connect() as conn:
            return tuple((await conn.execute(text(query))).one())
