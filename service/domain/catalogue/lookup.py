"""From the name or number of a type to its declaration."""

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

_DECLARED = (headcount, equipment, travel, buildings, cloud, process, purchase, facilities)
_K = TypeVar("_K", EntryType, FactorType)

ENTRY_TYPES: Mapping[int, EntryType] = MappingProxyType(
    {entry.id: entry for entry in chain.from_iterable(part.ENTRIES for part in _DECLARED)}
)
"""Every entry type by its number, ascending."""

FACTOR_TYPES: Mapping[int, FactorType] = MappingProxyType(
    {factor.id: factor for factor in chain.from_iterable(part.FACTORS for part in _DECLARED)}
)
"""The factors of every entry type, by that type's number, ascending."""


def entry_type(key: int | str) -> EntryType:
    """The entry type of this number (`66`, `"66"`) or name. Raises `UnknownType`."""
    return _find(ENTRY_TYPES, key)


def factor_type(key: int | str) -> FactorType:
    """The factors of the entry type of this number or name. Raises `UnknownType`."""
    return _find(FACTOR_TYPES, key)


def _find(types: Mapping[int, _K], key: int | str) -> _K:
    text = str(key).strip()
    for kind in types.values():
        if text in {kind.name, str(kind.id)}:
            return kind
    raise UnknownType("no_such", asked=_shortened(text), expected=_expected(types, text))


def _expected(types: Mapping[int, _K], text: str) -> list[str]:
    """The types whose names are close to what was asked for, or else all of them."""
    names = {kind.name: f"{kind.name} ({kind.id})" for kind in types.values()}
    close = get_close_matches(text.lower(), names, n=3) or list(names)
    return [names[name] for name in close]


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
