"""The two kinds of things that are uploaded: entries of a module, and the factors that turn them into CO2."""

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
    """The module's name; for a number that is no module's, that number."""
    return MODULES.get(module_type_id, f"module type {module_type_id}")


UNIT = Text(
    "unit_institutional_id",
    "The unit that the row belongs to, by its institutional id. Only in per-year files; elsewhere ignored.",
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
    """The values of some columns together are at most `maximum`; an absent one counts as nothing."""

    columns: tuple[str, ...]
    maximum: float
    measure: str


@dataclass(frozen=True, slots=True)
class EntryType:
    """A type of data entry, with its own columns in the order in which they are checked.

    `unique` names the column whose value only one entry of a module may hold.
    """

    id: int
    name: str
    module_type_id: int
    own: tuple[Column, ...]
    sum_at_most: SumAtMost | None = None
    unique: str | None = None


@dataclass(frozen=True, slots=True)
class FactorType:
    """The factors of one data entry type: what tells them apart (`identity`), and what they say (`values`)."""

    id: int
    name: str
    module_type_id: int
    identity: tuple[Text | Choice, ...]
    values: tuple[Column, ...]


CatalogueType = EntryType | FactorType


def columns_of(kind: CatalogueType, *, per_year: bool) -> tuple[Column, ...]:
    """Every column that a file of this kind may have, in the catalogue's order.

    `per_year` adds the unit to an entry type's columns; factors have none.
    """
    if isinstance(kind, FactorType):
        return (*kind.identity, *kind.values)
    return (*((UNIT,) if per_year else ()), *kind.own, *COMMON)
