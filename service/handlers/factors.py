"""Factors: reference data. A job replaces all factors of its type and year."""

from faststream.kafka import KafkaMessage

from service.domain.provider_types import ProviderType
from service.handlers.subscriptions import Subscriptions


def register(subscriptions: Subscriptions) -> None:
    """Subscribe to the topic of factors."""

    @subscriptions.subscriber(ProviderType.FACTORS)
    async def factors(message: KafkaMessage) -> None:
        await subscriptions.dispatch(ProviderType.FACTORS, message)
