"""Park a record: into the table and the dead-letter topic, and tell whoever waits for the job."""

from sqlalchemy.ext.asyncio import AsyncEngine

from service import __version__, crash
from service.contract.events import PARKED, UploadParked, to_record
from service.contract.topics import Topics
from service.db import dead_letters
from service.dead_letters.letter import Failure, Incoming, Replay, letter_headers
from service.domain.model import Record
from service.jobs.outbox import Publish


async def park_record(
    engine: AsyncEngine,
    publish: Publish,
    topics: Topics,
    source: str,
    incoming: Incoming,
    failure: Failure,
) -> bool:
    """Put the record, byte for byte, into the dead-letter topic; its row commits after the broker's ack.

    False where an earlier delivery of it was parked already; the event goes out again all the same. Only
    after this may the offset be committed. Raises what the database or the broker raises; the
    caller then holds the offset, and nothing is dropped.
    """
    letter_id = incoming.dead_letter_id
    async with engine.begin() as conn:
        is_new = await dead_letters.insert_letter(conn, _row(incoming, failure))
        if is_new:
            letter = Record(
                topics.dead_letter,
                incoming.record.key,
                incoming.record.value,
                letter_headers(incoming, failure),
            )
            position = await publish(letter)
            crash.point("after_dead_letter_ack")
            await dead_letters.note_position(
                conn, letter_id, partition=position.partition, offset=position.offset
            )
    if failure.job_id is not None:
        await publish(_event(failure.job_id, topics.completed, source, incoming, failure))
    return is_new


def _event(job_id: int, topic: str, source: str, incoming: Incoming, failure: Failure) -> Record:
    letter_id = incoming.dead_letter_id
    key = str(job_id) if failure.job is None else failure.job.key
    body = UploadParked(
        job_id=job_id,
        provider_type=incoming.provider_type.value,
        code=failure.error.code,
        message=failure.message,
        values=dict(failure.error.values),
        dead_letter_id=letter_id,
    )
    return to_record(
        body,
        topic=topic,
        event_type=PARKED,
        event_id=letter_id,
        at=failure.last_at,
        source=source,
        key=key,
    )


def _row(incoming: Incoming, failure: Failure) -> dict[str, object]:
    job, replay = failure.job, Replay.told_by(incoming.record.headers)
    return {
        "id": incoming.dead_letter_id,
        "original_topic": incoming.record.topic,
        "original_partition": incoming.partition,
        "original_offset": incoming.offset,
        "original_timestamp": incoming.timestamp,
        "consumer_group": incoming.group,
        "job_id": failure.job_id,
        "provider_type": incoming.provider_type.value,
        "data_entry_type_id": job and job.data_entry_type_id,
        "year": job and job.year,
        "modules": None if failure.modules is None else list(failure.modules),
        "code": failure.error.code,
        "stage": failure.stage,
        "exception_class": type(failure.cause or failure.error).__name__,
        "message": failure.message,
        "attempts": failure.attempts,
        "first_failed_at": failure.first_at,
        "parked_at": failure.last_at,
        "service_version": __version__,
        "replay_count": replay.count,
        "replay_of": replay.of,
    }
