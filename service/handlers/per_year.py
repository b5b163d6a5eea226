"""Per-year uploads of the back office or a program. They replace the rows of their source."""

from faststream.kafka import KafkaMessage

from service.domain.provider_types import ProviderType
from service.handlers.subscriptions import Subscriptions


def register(subscriptions: Subscriptions) -> None:
    """Subscribe to both per-year topics. Every row names its unit."""

    @subscriptions.subscriber(ProviderType.CSV_MODULE_PER_YEAR)
    async def csv_module_per_year(message: KafkaMessage) -> None:
        await subscriptions.dispatch(ProviderType.CSV_MODULE_PER_YEAR, message)

    @subscriptions.subscriber(ProviderType.API_MODULE_PER_YEAR)
    async def api_module_per_year(message: KafkaMessage) -> None:
        await subscriptions.dispatch(ProviderType.API_MODULE_PER_YEAR, message)
