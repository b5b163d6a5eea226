"""Module 2: professional travel."""

from service.domain.catalogue.columns import Choice, Date, Integer, Number, Text
from service.domain.catalogue.upload_types import EntryType, FactorType

MODULE = 2

_TRAVELLER = Text(
    "user_institutional_id", "Who travelled, by institutional id.", "302417", required=True
)
_WHEN_AND_HOW_OFTEN = (
    Date("departure_date", "The day of departure.", "2025-03-18"),
    # Without a default: the application takes 1 when it computes, and stores nothing.
    Integer(
        "number_of_trips",
        "How many times this trip was made; without it, the trip counts once.",
        "2",
        minimum=1,
    ),
)


def _code(name: str, meaning: str, example: str) -> Text:
    return Text(name, meaning, example, required=True, upper=True)


def _cabin_class(*values: str) -> Choice:
    return Choice(
        "cabin_class",
        "The class travelled in.",
        values[-1],
        required=True,
        choices=values,
        fold=True,
    )


PLANE = EntryType(
    20,
    "plane",
    MODULE,
    (
        _code("origin_iata", "IATA code of the airport of departure.", "GVA"),
        _code("destination_iata", "IATA code of the airport of arrival.", "OSL"),
        _TRAVELLER,
        _cabin_class("first", "business", "economy"),
        *_WHEN_AND_HOW_OFTEN,
    ),
)

TRAIN = EntryType(
    21,
    "train",
    MODULE,
    (
        Text("origin_name", "Station of departure.", "Lausanne", required=True),
        _code("origin_country_code", "Its country.", "CH"),
        Text("destination_name", "Station of arrival.", "Paris Gare de Lyon", required=True),
        _code("destination_country_code", "Its country.", "FR"),
        _TRAVELLER,
        _cabin_class("first", "second"),
        *_WHEN_AND_HOW_OFTEN,
    ),
)

ENTRIES = (PLANE, TRAIN)

_PER_KM = Number(
    "ef_kg_co2eq_per_km",
    "Emissions per passenger and kilometre.",
    "0.13",
    required=True,
    measure="kg CO2e/km",
)

FACTORS = (
    FactorType(
        PLANE.id,
        PLANE.name,
        MODULE,
        identity=(
            Text("category", "The category of distance.", "short_haul", required=True),
            Text("cabin_class", "The class travelled in.", "economy", required=True),
        ),
        values=(
            _PER_KM,
            Number(
                "rfi_adjustment", "Factor for effects at altitude beyond CO2.", "2.7", required=True
            ),
            Number("min_distance", "From this distance on.", "0", required=True, measure="km"),
            Number("max_distance", "Up to this distance.", "1500", required=True, measure="km"),
        ),
    ),
    FactorType(
        TRAIN.id,
        TRAIN.name,
        MODULE,
        identity=(Text("country_code", "The country of the line.", "CH", required=True),),
        values=(_PER_KM,),
    ),
)
