"""Module 3: buildings, their energy and their construction."""

from service.domain.catalogue.columns import Choice, Number, Text
from service.domain.catalogue.upload_types import EntryType, FactorType

MODULE = 3

_BUILDING_NAME = Text("building_name", "The building, by its short name.", "BC", required=True)

BUILDING = EntryType(
    30,
    "building",
    MODULE,
    (
        _BUILDING_NAME,
        Text("room_name", "The room, by its number.", "BC 410", required=True),
        Choice(
            "room_type",
            "What the room is used for.",
            "office",
            required=True,
            choices=(
                "office",
                "miscellaneous",
                "laboratories",
                "archives",
                "libraries",
                "auditoriums",
            ),
        ),
        Number(
            "room_allocation_ratio",
            "The unit's share of the room; 1 is the whole room.",
            "0.5",
            maximum=1,
        ),
    ),
)

ENERGY_COMBUSTION = EntryType(
    31,
    "energy_combustion",
    MODULE,
    (
        Text("name", "The fuel.", "natural_gas", required=True),
        Number("quantity", "How much was burnt, in the unit of the factor.", "1250", required=True),
    ),
)

BUILDING_EMBODIED_ENERGY = EntryType(32, "building_embodied_energy", MODULE, (_BUILDING_NAME,))

ENTRIES = (BUILDING, ENERGY_COMBUSTION, BUILDING_EMBODIED_ENERGY)


def _energy_for(purpose: str, example: str) -> Number:
    return Number(
        f"{purpose}_kwh_per_square_meter",
        f"Yearly energy for {purpose}, per square metre.",
        example,
        required=True,
        measure="kWh/m²",
    )


FACTORS = (
    FactorType(
        BUILDING.id,
        BUILDING.name,
        MODULE,
        identity=(
            _BUILDING_NAME,
            Text("room_type", "What the room is used for.", "office", required=True),
            Text("energy_type", "The kind of energy.", "thermal", required=True),
        ),
        values=(
            _energy_for("heating", "62.5"),
            _energy_for("cooling", "11"),
            _energy_for("ventilation", "8.4"),
            _energy_for("lighting", "14"),
            Number(
                "ef_kg_co2eq_per_kwh",
                "Emissions per kWh.",
                "0.043",
                required=True,
                measure="kg CO2e/kWh",
            ),
            Number("conversion_factor", "From useful to final energy.", "1.2"),
        ),
    ),
    FactorType(
        ENERGY_COMBUSTION.id,
        ENERGY_COMBUSTION.name,
        MODULE,
        identity=(
            Text("name", "The fuel.", "natural_gas", required=True),
            Text("unit", "What a quantity of it counts.", "kWh", required=True),
        ),
        values=(
            Number(
                "ef_kg_co2eq_per_unit",
                "Emissions per unit.",
                "0.202",
                required=True,
                measure="kg CO2e",
            ),
        ),
    ),
    FactorType(
        BUILDING_EMBODIED_ENERGY.id,
        BUILDING_EMBODIED_ENERGY.name,
        MODULE,
        identity=(
            _BUILDING_NAME,
            Text("category", "The part of the construction.", "structure", required=True),
        ),
        values=(
            Number(
                "ef_kgco2eq_per_m2",
                "Embodied emissions per square metre.",
                "6.1",
                required=True,
                measure="kg CO2e/m²",
            ),
        ),
    ),
)
