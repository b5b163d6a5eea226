"""Park a record: into the dead-letter topic and the table, with an event for its job."""

from sqlalchemy.ext.asyncio import AsyncEngine

from service import __version__, crash
from service.contract.events import PARKED, UploadParked, to_record
from service.contract.topics import Topics
from service.db import dead_letters
from service.dead_letters.parked_record import Failure, Incoming, Replay, letter_headers
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
    """Publish the record, byte for byte, to the dead-letter topic, and insert its row.

    The row is committed after the broker's acknowledgement. Returns False if the record was parked
    before, when it was delivered the first time; its event is published again all the same.

    The caller may commit the offset only after this. Raises what the database and the broker raise:
    the caller then keeps the offset, and the record comes again.
    """
    letter_id = incoming.dead_letter_id
    async with engine.begin() as conn:
        is_new = await dead_letters.insert_letter(conn, _letter_row(incoming, failure))
        if is_new:
            letter_record = Record(
                topics.dead_letter,
                incoming.record.key,
                incoming.record.value,
                letter_headers(incoming, failure),
            )
            position = await publish(letter_record)
            crash.point("after_dead_letter_ack")
            await dead_letters.note_position(
                conn, letter_id, partition=position.partition, offset=position.offset
            )

    if failure.job_id is not None:
        await publish(_parked_event(failure.job_id, topics.completed, source, incoming, failure))
    return is_new


def _parked_event(
    job_id: int, topic: str, source: str, incoming: Incoming, failure: Failure
) -> Record:
    letter_id = incoming.dead_letter_id
    # A message that can't be read has no scope to be the key.
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


def _letter_row(incoming: Incoming, failure: Failure) -> dict[str, object]:
    job = failure.job
    replay = Replay.from_headers(incoming.record.headers)
    modules = None if failure.modules is None else list(failure.modules)
    return {
        "id": incoming.dead_letter_id,
        "original_topic": incoming.record.topic,
        "original_partition": incoming.partition,
        "original_offset": incoming.offset,
        "original_timestamp": incoming.timestamp,
        "consumer_group": incoming.group,
        "job_id": failure.job_id,
        "provider_type": incoming.provider_type.value,
        "data_entry_type_id": None if job is None else job.data_entry_type_id,
        "year": None if job is None else job.year,
        "modules": modules,
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
