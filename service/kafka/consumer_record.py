"""From aiokafka's record to the record of the domain."""

from typing import Any

from aiokafka import ConsumerRecord

from service.domain.model import Record


def record_of(consumer_record: ConsumerRecord[Any, Any]) -> Record:
    """Return the record's topic, key, value and headers, without its position and its times."""
    return Record(
        consumer_record.topic,
        consumer_record.key,
        consumer_record.value,
        tuple(consumer_record.headers),
    )
