"""Send a record for a dead letter: claim the letter, publish the record, mark the letter as sent.

Claiming and marking are two separate transactions, and each letter is claimed right before it is
sent. So a command that was killed leaves at most one letter that may or may not have been sent;
this letter stays claimed.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from service import crash
from service.contract.topics import Topics
from service.db import audit, dead_letters
from service.db.dead_letters import Letter
from service.domain.errors import BrokerAway, UploadError
from service.domain.model import Job, LetterState, Record
from service.jobs.outbox import Publish

ABANDONED: Final = timedelta(minutes=5)
"""The age at which a claim is taken back: several times as long as a running command holds one."""

PUBLISH_SECONDS: Final = 60.0
"""How long to wait for the broker's acknowledgement; after that, the record may be out or not."""


class ForeignTopic(UploadError):
    """The topic is not a job topic of this service, so nothing is sent there."""

    code = "foreign_topic"


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends records for dead letters, in the name of an operator.

    `by` is the operator, and `action_id` the audit's line about why the letters are sent.
    """

    engine: AsyncEngine
    publish: Publish
    topics: Topics
    by: str
    action_id: int

    async def send(
        self, letter: Letter, record: Record, *, job: Job | None, edited_as: int | None = None
    ) -> bool:
        """Send a record for a letter; False if the letter has changed since it was read.

        `job` is the job that the letter's message can be read as now, `edited_as` the job id if the
        record is an edited copy. Raises `ForeignTopic`, and `BrokerAway` if the acknowledgement did
        not come: the letter then stays claimed, until its job ends or the claim is taken back.
        """
        if record.topic not in self.topics.all_jobs:
            raise ForeignTopic("name", topic=record.topic)
        reason = f"action {self.action_id}"

        async with self.engine.begin() as conn:
            is_claimed = await dead_letters.claim_letter(
                conn, letter, by=self.by, reason=reason, job=job, edited_as=edited_as
            )
        if not is_claimed:
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


async def end_abandoned_claims(engine: AsyncEngine, *, actor: str) -> Mapping[UUID, LetterState]:
    """End the claims of commands that were killed, and write that into the audit.

    Returns the new state of each letter whose claim was ended.
    """
    async with engine.begin() as conn:
        ended = await dead_letters.take_back_claims(conn, after=ABANDONED, by=actor)
        if ended:
            action_id = await audit.begin_action(
                conn,
                actor=actor,
                action="take-back",
                ids=ended,
                reason="claimed, and never marked as sent",
            )
            letters = {str(letter_id): state for letter_id, state in ended.items()}
            await audit.end_action(conn, action_id, {"letters": letters})
    return ended
