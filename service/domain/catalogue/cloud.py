"""Module 7: cloud services and AI."""

from service.domain.catalogue.columns import Choice, Number, Text
from service.domain.catalogue.upload_types import EntryType, FactorType

MODULE = 7

_SERVICE_TYPE = Text("service_type", "The kind of service.", "virtualisation", required=True)
_USAGE_TYPE = Text("usage_type", "What it is used for.", "text_generation", required=True)

CLOUDS = EntryType(
    40,
    "external_clouds",
    MODULE,
    (
        _SERVICE_TYPE,
        Text("provider", "Who provides it.", "Exoscale", required=True),
        Number(
            "spent_amount",
            "What was paid in the year, in the given currency.",
            "830",
            required=True,
        ),
        Choice(
            "currency",
            "The currency of the amount.",
            "eur",
            choices=("chf", "eur", "usd"),
            fold=True,
            default="eur",
        ),
    ),
)

AI = EntryType(
    41,
    "external_ai",
    MODULE,
    (
        Text("provider", "Who provides it.", "Mistral", required=True),
        _USAGE_TYPE,
        Choice(
            "requests_per_user_per_day",
            "Requests of one person in a day.",
            "5_20",
            required=True,
            choices=("1_5", "5_20", "20_100", "gt_100"),
        ),
        Number(
            "fte_count",
            "Full-time equivalents who use it.",
            "12",
            required=True,
            minimum=0.1,
            measure="FTE",
        ),
    ),
)

ENTRIES = (CLOUDS, AI)

FACTORS = (
    FactorType(
        CLOUDS.id,
        CLOUDS.name,
        MODULE,
        identity=(
            _SERVICE_TYPE,
            Text("provider", "Who provides it.", "Exoscale", required=True),
            Text(
                "currency", "The currency that the emissions are stated for.", "eur", required=True
            ),
        ),
        values=(
            Number(
                "ef_kg_co2eq_per_currency",
                "Emissions per unit of currency.",
                "0.09",
                required=True,
                measure="kg CO2e",
            ),
        ),
    ),
    FactorType(
        AI.id,
        AI.name,
        MODULE,
        identity=(Text("provider", "Who provides it.", "Mistral", required=True), _USAGE_TYPE),
        values=(
            Number(
                "ef_kg_co2eq_per_request",
                "Emissions per request.",
                "0.0011",
                required=True,
                measure="kg CO2e",
            ),
        ),
    ),
)
