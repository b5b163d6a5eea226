"""Per-year uploads of the back office, as CSV or from a program: they replace their own kind's rows."""

from faststream.kafka import KafkaMessage

from service.domain.provider_types import ProviderType
from service.handlers.subscriptions import Subscriptions


def register(subscriptions: Subscriptions) -> None:
    """Subscribe to both per-year topics. Every row names its unit; see `apply` for what is replaced."""

    @subscriptions.subscriber(ProviderType.CSV_MODULE_PER_YEAR)
    async def csv_module_per_year(message: KafkaMessage) -> None:
        await subscriptions.dispatch(ProviderType.CSV_MODULE_PER_YEAR, message)

    @subscriptions.subscriber(ProviderType.API_MODULE_PER_YEAR)
    async def api_module_per_year(message: KafkaMessage) -> None:
        await subscriptions.dispatch(ProviderType.API_MODULE_PER_YEAR, message)
