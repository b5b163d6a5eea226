"""The catalogue: one declaration for each type of entry and of factor.

A declaration lists the columns and their rules. No other code knows the name of a column.
"""

from service.domain.catalogue.codes import RowErrorCode
from service.domain.catalogue.columns import MAX_WHOLE, Choice, Column, Date, Integer, Number, Text
from service.domain.catalogue.lookup import ENTRY_TYPES, FACTOR_TYPES, entry_type, factor_type
from service.domain.catalogue.upload_types import (
    COMMON,
    MODULES,
    UNIT,
    CatalogueType,
    EntryType,
    FactorType,
    SumAtMost,
    columns_of,
    module_name,
)

__all__ = [
    "COMMON",
    "ENTRY_TYPES",
    "FACTOR_TYPES",
    "MAX_WHOLE",
    "MODULES",
    "UNIT",
    "CatalogueType",
    "Choice",
    "Column",
    "Date",
    "EntryType",
    "FactorType",
    "Integer",
    "Number",
    "RowErrorCode",
    "SumAtMost",
    "Text",
    "columns_of",
    "entry_type",
    "factor_type",
    "module_name",
]
