"""Synchronisations with other systems: they replace their own rows, so a second sync doubles nothing."""

from faststream.kafka import KafkaMessage

from service.domain import ProviderType
from service.handlers.desk import Desk


def register(desk: Desk) -> None:
    """Subscribe to the topic of external integrations. Every row names its unit."""

    @desk.subscriber(ProviderType.EXTERNAL_INTEGRATION)
    async def external_integration(message: KafkaMessage) -> None:
        await desk.settle(ProviderType.EXTERNAL_INTEGRATION, message)
