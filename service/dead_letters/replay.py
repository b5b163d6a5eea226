"""Send letters to their topics again, one after the other: claimed, published, and marked as sent.

A letter is claimed right before it is sent, so a killed operator leaves one letter in doubt at most.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from service import crash
from service.contract.topics import Topics
from service.db import audit, dead_letters
from service.db.dead_letters import Letter, states_of
from service.dead_letters.audit import ActionReport
from service.dead_letters.records import replay_of
from service.dead_letters.verdict import Judge, Judgement
from service.domain.errors import BrokerAway, UploadError
from service.domain.model import Job, LetterState, Record
from service.jobs.outbox import Publish

ABANDONED: Final = timedelta(minutes=5)
"""Age at which a claim is taken back; several times what a living operator holds one for."""

PUBLISH_SECONDS: Final = 60.0
"""How long the broker's ack is waited for; without it the letter stays claimed, for it may be out."""

_LOOK_EVERY = 0.25

Sending = Literal["sent", "taken", "held_back"]
"""What became of a letter: `taken` means that somebody else was faster, or its job has ended."""

Tell = Callable[[Judgement, Sending], None]


class CameBack(UploadError):
    """A letter that was sent first came back as a dead letter; the rest was not sent."""

    code = "came_back"


class NotEnded(UploadError):
    """The letters that were sent first have not ended in time; the rest was not sent. Look whether a worker runs."""

    code = "not_ended"


class ForeignTopic(UploadError):
    """This is none of the service's job topics; nothing is ever sent there."""

    code = "foreign_topic"


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends letters in an operator's name; `action_id` is the line of the audit that says why."""

    engine: AsyncEngine
    publish: Publish
    topics: Topics
    by: str
    action_id: int

    async def send(
        self, letter: Letter, record: Record, *, job: Job | None, edited_as: int | None = None
    ) -> bool:
        """Claim a letter and send a record for it; False where it is no longer as it was read.

        Raises `ForeignTopic`, and `BrokerAway` where the letter's fate is in doubt: it stays claimed, and is
        taken back or settled later.
        """
        if record.topic not in self.topics.all_jobs:
            raise ForeignTopic("name", topic=record.topic)
        reason = f"action {self.action_id}"
        async with self.engine.begin() as conn:
            if not await dead_letters.claim_letter(
                conn, letter, by=self.by, reason=reason, job=job, edited_as=edited_as
            ):
                return False
        crash.point("after_replay_claim")
        await self._publish(record)
        crash.point("after_replay_ack")
        async with self.engine.begin() as conn:
            await dead_letters.mark_sent(conn, letter.id, by=self.by, reason=reason)
        return True

    async def _publish(self, record: Record) -> None:
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await self.publish(record)
        except TimeoutError:
            raise BrokerAway(
                "no_acknowledgement", topic=record.topic, seconds=PUBLISH_SECONDS
            ) from None


@dataclass(frozen=True, slots=True)
class Pace:
    """How carefully letters are sent: so many a second at most, and first in waves.

    After each wave, its letters must have ended within `patience` seconds, and none of them come back.
    """

    rate: float | None = None
    waves: tuple[int, ...] = ()
    patience: float = 120.0


async def replay_letters(
    sender: Sender,
    judge: Judge,
    letters: Sequence[Letter],
    report: ActionReport,
    *,
    pace: Pace,
    force: bool,
    tell: Tell,
) -> None:
    """Send those letters whose message would end well now; with `force` the others too, as far as they can be.

    What stops it before its end is in the report, and so is what became of each letter.
    """
    pacing = _Pacing(sender.engine, pace)
    try:
        async for judgement in judge.each(letters):
            sending = await _send(sender, judgement, report, force=force)
            tell(judgement, sending)
            if sending == "sent":
                await pacing.sent(judgement.letter.id)
        await pacing.end()
    except UploadError as error:
        report.stopped = error.message


async def _send(
    sender: Sender, judgement: Judgement, report: ActionReport, *, force: bool
) -> Sending:
    letter, verdict, original = judgement.letter, judgement.finding.verdict, judgement.original
    if original is None or not (verdict.ends_well or (force and verdict.can_be_sent)):
        report.note(verdict.value, letter.id)
        return "held_back"
    job = judgement.job if verdict.ends_well else None
    try:
        is_sent = await sender.send(letter, replay_of(letter, original), job=job)
    except UploadError:
        report.note("in_doubt", letter.id)
        raise
    sending: Sending = "sent" if is_sent else "taken"
    report.note(sending, letter.id)
    return sending


class _Pacing:
    def __init__(self, engine: AsyncEngine, pace: Pace) -> None:
        self._engine = engine
        self._pace = pace
        self._waves = deque(pace.waves)
        self._wave: list[UUID] = []

    async def sent(self, letter_id: UUID) -> None:
        """Wait as long as the pace asks for after a letter."""
        if self._waves:
            self._wave.append(letter_id)
            if len(self._wave) == self._waves[0]:
                await self._until_ended()
                self._waves.popleft()
                return
        if self._pace.rate:
            await asyncio.sleep(1 / self._pace.rate)

    async def end(self) -> None:
        """Wait for the last wave too, where there were too few letters to fill it."""
        await self._until_ended()

    async def _until_ended(self) -> None:
        deadline = monotonic() + self._pace.patience
        while not await self._have_ended():
            if monotonic() > deadline:
                raise NotEnded("waited", seconds=self._pace.patience)
            await asyncio.sleep(_LOOK_EVERY)
        self._wave.clear()

    async def _have_ended(self) -> bool:
        async with self._engine.connect() as conn:
            states = await states_of(conn, self._wave)
        back = [
            str(letter_id) for letter_id, state in states.items() if state is LetterState.FAILED
        ]
        if back:
            raise CameBack("letters", letters=back)
        return not {LetterState.CLAIMED, LetterState.SENT}.intersection(states.values())


async def end_abandoned_claims(engine: AsyncEngine, *, actor: str) -> Mapping[UUID, LetterState]:
    """End the claims of operators who were killed, and write that down; where each letter stands now."""
    async with engine.begin() as conn:
        taken = await dead_letters.take_back_claims(conn, after=ABANDONED, by=actor)
        if taken:
            why = "claimed, and never marked as sent"
            line = await audit.begin_action(
                conn, actor=actor, action="take-back", ids=taken, reason=why
            )
            await audit.end_action(
                conn, line, {"letters": {str(letter): state for letter, state in taken.items()}}
            )
    return taken
