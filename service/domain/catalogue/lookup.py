"""Find the declaration of a type by its name or number."""

from collections.abc import Mapping
from difflib import get_close_matches
from itertools import chain
from types import MappingProxyType
from typing import TypeVar

from service.domain.catalogue import (
    buildings,
    cloud,
    equipment,
    facilities,
    headcount,
    process,
    purchase,
    travel,
)
from service.domain.catalogue.upload_types import EntryType, FactorType
from service.domain.errors import UnknownType
from service.domain.texts import shorten

_DECLARED = (headcount, equipment, travel, buildings, cloud, process, purchase, facilities)
_QUOTED_LENGTH = 40
"""The most characters of an unknown type that a message quotes."""

_T = TypeVar("_T", EntryType, FactorType)

ENTRY_TYPES: Mapping[int, EntryType] = MappingProxyType(
    {entry.id: entry for entry in chain.from_iterable(part.ENTRIES for part in _DECLARED)}
)
"""Every entry type by its number, ascending."""

FACTOR_TYPES: Mapping[int, FactorType] = MappingProxyType(
    {factor.id: factor for factor in chain.from_iterable(part.FACTORS for part in _DECLARED)}
)
"""The factors of every entry type, by that type's number, ascending."""


def entry_type(key: int | str) -> EntryType:
    """The entry type with this number (`66`, `"66"`) or name. Raises `UnknownType`."""
    return _find(ENTRY_TYPES, key)


def factor_type(key: int | str) -> FactorType:
    """The factors of the entry type with this number or name. Raises `UnknownType`."""
    return _find(FACTOR_TYPES, key)


def _find(types: Mapping[int, _T], key: int | str) -> _T:
    # We compare texts instead of parsing a number: `int()` would accept "6_6" and "٦٦" as 66.
    text = str(key).strip()
    for catalogue_type in types.values():
        if text in {catalogue_type.name, str(catalogue_type.id)}:
            return catalogue_type
    raise UnknownType(
        "no_such", asked=shorten(text, _QUOTED_LENGTH), expected=_suggestions(types, text)
    )


def _suggestions(types: Mapping[int, _T], text: str) -> list[str]:
    """The types with a name that is similar to `text`; all types if there is none."""
    labels = {
        catalogue_type.name: f"{catalogue_type.name} ({catalogue_type.id})"
        for catalogue_type in types.values()
    }
    similar = get_close_matches(text.lower(), labels, n=3)
    return [labels[name] for name in similar or labels]
