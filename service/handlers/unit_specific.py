"""Uploads of one unit, as CSV or from a program: their rows are appended to the module they name."""

from faststream.kafka import KafkaMessage

from service.domain import ProviderType
from service.handlers.desk import Desk


def register(desk: Desk) -> None:
    """Subscribe to both unit-specific topics. They delete nothing, and are never superseded."""

    @desk.subscriber(ProviderType.CSV_MODULE_UNIT_SPECIFIC)
    async def csv_module_unit_specific(message: KafkaMessage) -> None:
        await desk.settle(ProviderType.CSV_MODULE_UNIT_SPECIFIC, message)

    @desk.subscriber(ProviderType.API_MODULE_UNIT_SPECIFIC)
    async def api_module_unit_specific(message: KafkaMessage) -> None:
        await desk.settle(ProviderType.API_MODULE_UNIT_SPECIFIC, message)
