"""Module 8: direct emissions of processes, such as refrigerants that leak."""

from service.domain.catalogue.columns import Number, Text
from service.domain.catalogue.upload_types import EntryType, FactorType

MODULE = 8

_CATEGORY = Text(
    "category", "The gas, or the process that sets it free.", "refrigerants", required=True
)
_SUBCATEGORY = Text("subcategory", "Its subcategory.", "R-134a")

PROCESS_EMISSIONS = EntryType(
    50,
    "process_emissions",
    MODULE,
    (
        _CATEGORY,
        _SUBCATEGORY,
        Number("quantity", "How much of it, in the factor's unit.", "1.5", required=True),
    ),
)

ENTRIES = (PROCESS_EMISSIONS,)

FACTORS = (
    FactorType(
        PROCESS_EMISSIONS.id,
        PROCESS_EMISSIONS.name,
        MODULE,
        identity=(_CATEGORY, _SUBCATEGORY),
        values=(
            Text("unit", "What the numbers count.", "kg", required=True),
            Number(
                "ef_kg_co2eq_per_unit",
                "Emissions per unit.",
                "1430",
                required=True,
                measure="kg CO2e",
            ),
        ),
    ),
)
