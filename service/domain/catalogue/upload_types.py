"""What can be uploaded: entries of a module, and the factors that turn entries into CO2."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from service.domain.catalogue.columns import Choice, Column, Number, Text

MODULES: Mapping[int, str] = MappingProxyType(
    {
        1: "headcount",
        2: "professional travel",
        3: "buildings",
        4: "equipment",
        5: "purchase",
        6: "research facilities",
        7: "cloud and AI",
        8: "process emissions",
    }
)
"""The modules of a carbon report, by `module_type_id`."""


def module_name(module_type_id: int) -> str:
    """The name of a module; an unknown number gives `module type 9`."""
    return MODULES.get(module_type_id, f"module type {module_type_id}")


UNIT = Text(
    "unit_institutional_id",
    "The unit that the row belongs to, by its institutional id. Only in per-year files; elsewhere "
    "ignored.",
    "12345",
    required=True,
)
"""The first column of a per-year file, because it decides the module of the whole row."""

COMMON: tuple[Column, ...] = (
    Text("note", "A remark, kept with the entry.", "From the inventory of March"),
    Number(
        "kg_co2eq",
        "Overrides the computed value; leave it empty to have the value computed. 0 is a value.",
        "",
        measure="kg CO2e",
        stored_as="__kg_co2eq_override__",
    ),
)
"""The last columns of every entry type."""


@dataclass(frozen=True, slots=True)
class SumAtMost:
    """A rule: the sum of some columns is at most `maximum`. An empty cell counts as 0."""

    columns: tuple[str, ...]
    maximum: float
    measure: str


@dataclass(frozen=True, slots=True)
class EntryType:
    """A type of data entry.

    `own` are the columns of this type alone, in the order in which they are checked. `unique` is
    the name of the column whose value may occur only once in a module.
    """

    id: int
    name: str
    module_type_id: int
    own: tuple[Column, ...]
    sum_at_most: SumAtMost | None = None
    unique: str | None = None


@dataclass(frozen=True, slots=True)
class FactorType:
    """The factors of one data entry type; `id` and `name` are those of the entry type.

    No two factors have the same values in the `identity` columns. The `values` columns hold what
    the factor says.
    """

    id: int
    name: str
    module_type_id: int
    identity: tuple[Text | Choice, ...]
    values: tuple[Column, ...]


CatalogueType = EntryType | FactorType


def columns_of(catalogue_type: CatalogueType, *, per_year: bool) -> tuple[Column, ...]:
    """Every column that a file of this type may have, in the catalogue's order.

    In a per-year file of entries, the unit is the first column. Files of factors have no unit.
    """
    if isinstance(catalogue_type, FactorType):
        return (*catalogue_type.identity, *catalogue_type.values)

    columns = (*catalogue_type.own, *COMMON)
    if per_year:
        return (UNIT, *columns)
    return columns
