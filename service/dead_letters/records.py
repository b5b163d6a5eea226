"""The records behind the letters: read back from the dead-letter topic, and made ready for their own again."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

from service.contract import headers
from service.db.dead_letters import Letter
from service.dead_letters.letter import Replay, own_headers
from service.domain.model import Position, Record

Read = Callable[[Sequence[Position]], Awaitable[Mapping[Position, Record]]]
"""Reads records of the dead-letter topic; those that are no longer there are left out. Raises `BrokerAway`."""


async def read_originals(read: Read, letters: Sequence[Letter]) -> Mapping[UUID, Record]:
    """The letters' records, by letter; one that is gone, or that is another letter's by now, is left out."""
    places = {letter.id: letter.position for letter in letters}
    records = await read([place for place in places.values() if place is not None])
    found = {
        letter_id: records.get(place) for letter_id, place in places.items() if place is not None
    }
    return {
        letter_id: record
        for letter_id, record in found.items()
        if record and _is_of(letter_id, record)
    }


def _is_of(letter_id: UUID, record: Record) -> bool:
    return dict(record.headers).get(headers.DLQ_ID) == str(letter_id).encode()


def replay_of(letter: Letter, original: Record) -> Record:
    """The record to send for a letter: the original's key, value and headers, and which replay it is."""
    replay = Replay(letter.id, letter.replay_count + 1)
    return Record(
        letter.original_topic,
        original.key,
        original.value,
        own_headers(original) + replay.headers(),
    )
