"""Synchronisations with other systems. They replace their own rows, so a repeat doubles nothing."""

from faststream.kafka import KafkaMessage

from service.domain.provider_types import ProviderType
from service.handlers.subscriptions import Subscriptions


def register(subscriptions: Subscriptions) -> None:
    """Subscribe to the topic of external integrations. Every row names its unit."""

    @subscriptions.subscriber(ProviderType.EXTERNAL_INTEGRATION)
    async def external_integration(message: KafkaMessage) -> None:
        await subscriptions.dispatch(ProviderType.EXTERNAL_INTEGRATION, message)
