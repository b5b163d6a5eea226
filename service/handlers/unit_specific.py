"""Uploads of one unit, as a CSV file or from a program. Their rows are appended to one module."""

from faststream.kafka import KafkaMessage

from service.domain.provider_types import ProviderType
from service.handlers.subscriptions import Subscriptions


def register(subscriptions: Subscriptions) -> None:
    """Subscribe to both unit-specific topics. They delete nothing and are never superseded."""

    @subscriptions.subscriber(ProviderType.CSV_MODULE_UNIT_SPECIFIC)
    async def csv_module_unit_specific(message: KafkaMessage) -> None:
        await subscriptions.dispatch(ProviderType.CSV_MODULE_UNIT_SPECIFIC, message)

    @subscriptions.subscriber(ProviderType.API_MODULE_UNIT_SPECIFIC)
    async def api_module_unit_specific(message: KafkaMessage) -> None:
        await subscriptions.dispatch(ProviderType.API_MODULE_UNIT_SPECIFIC, message)
