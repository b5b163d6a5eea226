"""Per-year uploads of the back office, as CSV or from a program: they replace their own kind's rows."""

from faststream.kafka import KafkaMessage

from service.domain import ProviderType
from service.handlers.desk import Desk


def register(desk: Desk) -> None:
    """Subscribe to both per-year topics. Every row names its unit; see `apply` for what is replaced."""

    @desk.subscriber(ProviderType.CSV_MODULE_PER_YEAR)
    async def csv_module_per_year(message: KafkaMessage) -> None:
        await desk.settle(ProviderType.CSV_MODULE_PER_YEAR, message)

    @desk.subscriber(ProviderType.API_MODULE_PER_YEAR)
    async def api_module_per_year(message: KafkaMessage) -> None:
        await desk.settle(ProviderType.API_MODULE_PER_YEAR, message)
