"""Module 6: the use of research facilities."""

from service.domain.catalogue.columns import Number, Text
from service.domain.catalogue.upload_types import EntryType, FactorType

MODULE = 6

_ID = Text("researchfacility_id", "The facility's id.", "RF-07", required=True)
_NAME = Text(
    "researchfacility_name", "The facility's name.", "Plateforme de cytométrie", required=True
)
_USE_UNIT = Text("use_unit", "What the use counts.", "hours", required=True)
_ANIMALS = Text("researchfacility_type", "The kind of animal facility.", "mice", required=True)

_COLUMNS = (
    _ID,
    _NAME,
    Number("use", "The unit's use in the year, in the given unit.", "36.5", required=True),
    _USE_UNIT,
)

FACILITIES = EntryType(70, "research_facilities", MODULE, _COLUMNS)
ANIMAL_FACILITIES = EntryType(71, "mice_and_fish_animal_facilities", MODULE, (*_COLUMNS, _ANIMALS))

ENTRIES = (FACILITIES, ANIMAL_FACILITIES)

_VALUES = (
    Number(
        "total_use", "The use by everyone in the year, in the given unit.", "5200", required=True
    ),
    Number("kg_co2eq_sum", "The facility's emissions in the year.", "18400", measure="kg CO2e"),
)

FACTORS = (
    FactorType(FACILITIES.id, FACILITIES.name, MODULE, (_ID, _NAME, _USE_UNIT), _VALUES),
    FactorType(
        ANIMAL_FACILITIES.id,
        ANIMAL_FACILITIES.name,
        MODULE,
        (_ID, _NAME, _USE_UNIT, _ANIMALS),
        _VALUES,
    ),
)
