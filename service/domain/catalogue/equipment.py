"""Module 4: equipment that uses electricity. All three types have the same columns."""

from service.domain.catalogue.columns import Integer, Number, Text
from service.domain.catalogue.upload_types import EntryType, FactorType, SumAtMost

MODULE = 4
HOURS_A_WEEK = 168

_CLASS = Text("equipment_class", "The class of equipment.", "Freezer", required=True)
_SUB_CLASS = Text("sub_class", "Its subclass.", "-80 °C")
_ACTIVE = "active_usage_hours_per_week"
_STANDBY = "standby_usage_hours_per_week"

_COLUMNS = (
    Text("equipment_id", "The inventory number.", "LAB-000417", required=True),
    Text("name", "What it is.", "Congélateur -80 °C", required=True),
    _CLASS,
    _SUB_CLASS,
    Integer(_ACTIVE, "Hours a week in use.", "40", maximum=HOURS_A_WEEK, measure="h/week"),
    Integer(_STANDBY, "Hours a week on standby.", "128", maximum=HOURS_A_WEEK, measure="h/week"),
)

ENTRIES = tuple(
    EntryType(
        type_id,
        name,
        MODULE,
        _COLUMNS,
        sum_at_most=SumAtMost((_ACTIVE, _STANDBY), HOURS_A_WEEK, "hours of a week"),
    )
    for type_id, name in ((10, "scientific"), (11, "it"), (12, "other"))
)

FACTORS = tuple(
    FactorType(
        entry.id,
        entry.name,
        MODULE,
        identity=(_CLASS, _SUB_CLASS),
        values=(
            Number("active_power_w", "Power in use.", "700", required=True, measure="W"),
            Number("standby_power_w", "Power on standby.", "45", required=True, measure="W"),
            Number(
                _ACTIVE,
                "Hours a week in use, where an entry gives none.",
                "40",
                required=True,
                measure="h/week",
            ),
            Number(
                _STANDBY,
                "Hours a week on standby, where an entry gives none.",
                "128",
                required=True,
                measure="h/week",
            ),
            Number(
                "ef_kg_co2eq_per_kwh",
                "Emissions per kWh.",
                "0.125",
                required=True,
                measure="kg CO2e/kWh",
            ),
        ),
    )
    for entry in ENTRIES
)
