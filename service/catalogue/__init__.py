"""The catalogue: one declaration per type of entry and of factor; nothing else knows a column's name."""

from service.catalogue.codes import RowErrorCode
from service.catalogue.columns import MAX_WHOLE, Choice, Column, Date, Integer, Number, Text
from service.catalogue.kinds import (
    COMMON,
    MODULES,
    UNIT,
    EntryType,
    FactorType,
    Kind,
    SumAtMost,
    columns_of,
    module_name,
)
from service.catalogue.lookup import ENTRY_TYPES, FACTOR_TYPES, entry_type, factor_type

__all__ = [
    "COMMON",
    "ENTRY_TYPES",
    "FACTOR_TYPES",
    "MAX_WHOLE",
    "MODULES",
    "UNIT",
    "Choice",
    "Column",
    "Date",
    "EntryType",
    "FactorType",
    "Integer",
    "Kind",
    "Number",
    "RowErrorCode",
    "SumAtMost",
    "Text",
    "columns_of",
    "entry_type",
    "factor_type",
    "module_name",
]
