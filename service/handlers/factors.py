"""Factors: reference data, replaced whole by type and year, with ids that stay."""

from faststream.kafka import KafkaMessage

from service.domain import ProviderType
from service.handlers.desk import Desk


def register(desk: Desk) -> None:
    """Subscribe to the topic of factors."""

    @desk.subscriber(ProviderType.FACTORS)
    async def factors(message: KafkaMessage) -> None:
        await desk.settle(ProviderType.FACTORS, message)
