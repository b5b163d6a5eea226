"""The records of dead letters: read from the dead-letter topic, and made ready for a replay."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

from service.contract import headers
from service.db.dead_letters import Letter
from service.dead_letters.parked_record import Replay, own_headers
from service.domain.model import Position, Record

Read = Callable[[Sequence[Position]], Awaitable[Mapping[Position, Record]]]
"""Reads records of the dead-letter topic by their positions.

Records that are no longer there are left out. Raises `BrokerAway`.
"""


async def read_originals(read: Read, letters: Sequence[Letter]) -> Mapping[UUID, Record]:
    """Read the letters' records, and return them by the letter's id.

    A letter is left out if its record is gone, or if the record at its position is another
    letter's. That happens if the topic was deleted and created again. Raises `BrokerAway`.
    """
    positions = {letter.id: letter.position for letter in letters}
    records = await read([position for position in positions.values() if position is not None])

    originals = {}
    for letter_id, position in positions.items():
        record = None if position is None else records.get(position)
        if record is not None and _is_of_letter(record, letter_id):
            originals[letter_id] = record
    return originals


def _is_of_letter(record: Record, letter_id: UUID) -> bool:
    return dict(record.headers).get(headers.DLQ_ID) == str(letter_id).encode()


def replay_record(letter: Letter, original: Record) -> Record:
    """Return the record that replays a letter.

    It has the key, the value and the own headers of the original, and headers that name the letter
    and count its replays.
    """
    replay = Replay(letter.id, letter.replay_count + 1)
    return Record(
        letter.original_topic,
        original.key,
        original.value,
        own_headers(original) + replay.headers(),
    )
