"""The hot path: per kind and header, one flat Python function with the loop over the rows inside it.

The function is written out from the declarations as source and compiled. It takes the rows that are
plainly good, and leaves every other one to `plain` by way of `checker.check_slowly`: it may check_slowly a row that
is good, but must never take one that is not, nor read it otherwise than `plain` does. For a purchase:

    if (
        (destination := destinations.get(c0) or destinations.get(c0.strip()))
        and (v1 := c1.strip())
        and (not c3 or 0 <= (v3 := float(c3)) < inf)
        ...
    ):
        data = {"name": v1}
        if v2 := c2.strip(): data["supplier"] = v2
        ...

Only declarations reach the source; a header decides no more than positions.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import takewhile
from math import inf
from typing import Any

import orjson

from service.db.copy import escape_json
from service.domain.catalogue import (
    MAX_WHOLE,
    UNIT,
    CatalogueType,
    Choice,
    Column,
    Date,
    EntryType,
    FactorType,
    Integer,
    Number,
)
from service.rows.row_rules import Layout

CompiledCheck = Callable[[Any, Iterable[list[str]], list[Any], list[Any]], None]
"""`(checker, rows, good, bad)`: appends every row to `good` or, through `checker.check_slowly`, to either."""


_SOURCE = """\
def check(checker, rows, good, bad):
    {prologue}
    add, check_slowly, number = good.append, checker.check_slowly, checker.rows_seen + 1
    for row in rows:
        {targets} = row if len(row) == {width} else fit(row, {width})
        try:
            if (
                {tests}
            ):
                {record}
        except ValueError:
            pass
        check_slowly(row, good, bad)
        number = checker.rows_seen + 1 + len(bad)
"""
"""`number + len(good)` is the number of the row in hand."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one column contributes: conditions, then its key and value, where `given` is true ("": always)."""

    name: str
    key: str
    tests: tuple[str, ...]
    value: str
    given: str = ""


@lru_cache(maxsize=64)
def compiled_check(kind: CatalogueType, layout: Layout) -> CompiledCheck:
    """The compiled function of a kind and header."""
    namespace: dict[str, Any] = {
        "dumps": orjson.dumps,
        "escaped": _escaped,
        "iso_date": date.fromisoformat,
        "inf": inf,
        "fit": _fit,
        **{f"list{i}": _listed(c) for i, c in enumerate(layout.columns) if isinstance(c, Choice)},
    }
    exec(compile(source_of(kind, layout), f"<flat check of {kind.name}>", "exec"), namespace)  # noqa: S102
    check: CompiledCheck = namespace["check"]
    return check


def source_of(kind: CatalogueType, layout: Layout) -> str:
    """The source of `check(checker, rows, good, bad)`."""
    pieces = [
        piece for i, column in enumerate(layout.columns) if (piece := _piece(i, column, layout))
    ]
    tests = [test for piece in pieces for test in piece.tests] + _spelling_tests(layout)
    if isinstance(kind, EntryType):
        tests += _sum_test(kind, pieces)
        prologue, record = _entry_prologue(kind, layout), _entry_lines(kind, pieces)
    else:
        prologue, record = _FACTOR_PROLOGUE, _factor_lines(kind, pieces)
    return _SOURCE.format(
        prologue=_at(1, prologue),
        targets=_targets(layout),
        width=layout.width,
        tests=_at(4, (tests[0], *(f"and {test}" for test in tests[1:]))),
        record=_at(4, record),
    )


def _escaped(json: bytes) -> bytes:
    """JSON as a cell for COPY; empty where it may hold a NUL, which only `plain` can tell."""
    return b"" if _NUL in json else escape_json(json)


def _fit(row: list[str], width: int) -> list[str]:
    return (row + [""] * width)[:width]


def _listed(column: Choice) -> dict[str, str]:
    """The texts that stand for a value of the list; the empty one for the default, if there is one."""
    absent = {} if column.default is None else {"": str(column.default)}
    return absent | {value: value for value in column.values}


def _at(depth: int, lines: Iterable[str]) -> str:
    """The lines as the template takes them, which has the first line's indentation."""
    return f"\n{'    ' * depth}".join(lines)


def _targets(layout: Layout) -> str:
    names = ["_"] * layout.width
    for i, position in enumerate(layout.positions):
        if position is not None:
            names[position] = f"c{i}"
    return f"[{', '.join(names)}]"


def _piece(i: int, column: Column, layout: Layout) -> _Piece | None:
    if layout.positions[i] is not None:
        return _UNIT_PIECE if column is UNIT else _present(i, column)
    if column.required:
        return _Piece(column.name, column.key, ("False",), "None")
    return (
        None
        if column.default is None
        else _Piece(column.name, column.key, (), repr(column.default))
    )


def _present(i: int, column: Column) -> _Piece:
    """A column that the header has. An optional cell of mere blanks fails its test, and is doubted."""
    cell, value = f"c{i}", f"v{i}"
    stripped = f"({value} := {cell}.strip())"
    optional = not column.required
    match column:
        case Number():
            test, value = _number(column, cell, value)
        case Choice():
            folded = ".lower()" if column.fold else ""
            test = f"({value} := list{i}.get({cell}) or list{i}.get({cell}.strip(){folded}))"
            optional = optional and column.default is None
        case Date():
            test = f'{stripped} and len({value}) == 10 and {value}[4] == {value}[7] == "-" and iso_date({value})'
        case _ if optional:
            return _Piece(column.name, column.key, (), value, given=stripped)
        case _:
            test = stripped
    if not optional:
        return _Piece(column.name, column.key, (test,), value)
    if column.default is None:
        return _Piece(column.name, column.key, (f"(not {cell} or {test})",), value, given=cell)
    value = f"({value} if {cell} else {column.default!r})"
    return _Piece(column.name, column.key, (f"(not {cell} or {test})",), value)


def _number(column: Number, cell: str, value: str) -> tuple[str, str]:
    """The test of a number and the expression of its value. The upper bound keeps nan and overflow out."""
    upper = f"<= {column.maximum!r}" if column.maximum < inf else "< inf"
    if isinstance(column, Integer):
        upper = f"<= {min(column.maximum, MAX_WHOLE)!r}"
    test = f"{column.minimum!r} <= ({value} := float({cell})) {upper}"
    if isinstance(column, Integer):
        return f"{test} and {value}.is_integer()", f"int({value})"
    return test, value


def _spelling_tests(layout: Layout) -> list[str]:
    """Of all numbers at once, for a test of each is dear: `float` takes underscores and the digits of any script."""
    cells = [
        f"c{i}"
        for i, c in enumerate(layout.columns)
        if isinstance(c, Number) and layout.positions[i] is not None
    ]
    return [f'"_" not in (numbers := {" + ".join(cells)})', "numbers.isascii()"] if cells else []


def _sum_test(kind: EntryType, pieces: Sequence[_Piece]) -> list[str]:
    rule = kind.sum_at_most
    if rule is None:
        return []
    terms = [
        f"({piece.value} if {piece.given} else 0)" for piece in pieces if piece.name in rule.columns
    ]
    return [f"{' + '.join(terms)} <= {rule.maximum!r}"] if terms else []


_UNIT_PIECE = _Piece(
    UNIT.name, "", ("(destination := destinations.get(c0) or destinations.get(c0.strip()))",), ""
)
_FACTOR_PROLOGUE = ("taken = checker.taken",)
_NUL = rb"\u0000"
_JSON_TEST = "(92 not in json or (json := escaped(json)))"
"""92 is the backslash, for a byte is found in a fifth of the time of a string of one."""


def _entry_prologue(kind: EntryType, layout: Layout) -> tuple[str, ...]:
    lookup = (
        "destinations = checker.destinations"
        if UNIT in layout.columns
        else "module, prefix = checker.destination"
    )
    return (
        (lookup,) if kind.unique is None else (lookup, "taken, held = checker.taken, checker.held")
    )


def _entry_lines(kind: EntryType, pieces: Sequence[_Piece]) -> Iterator[str]:
    if _UNIT_PIECE in pieces:
        yield "module, prefix = destination"
    yield from _object_lines("data", [piece for piece in pieces if piece is not _UNIT_PIECE])
    yield "json = dumps(data)"
    conditions = [_JSON_TEST]
    if kind.unique is not None:
        (unique,) = (piece.value for piece in pieces if piece.name == kind.unique)
        yield f"key = (module, {unique})"
        conditions += ["key not in taken", "key not in held"]
    yield f"if {' and '.join(conditions)}:"
    if kind.unique is not None:
        yield "    taken[key] = number + len(good)"
    yield "    add((module, prefix + json))"
    yield "    continue"


def _factor_lines(kind: FactorType, pieces: Sequence[_Piece]) -> Iterator[str]:
    names = {column.name for column in kind.identity}
    identity = sorted(
        (piece for piece in pieces if piece.name in names), key=lambda piece: piece.key
    )
    yield from _object_lines("data", identity)
    yield "identity = dumps(data)"
    yield from _object_lines("data", [piece for piece in pieces if piece.name not in names])
    yield r"json, key = identity + b'\t' + dumps(data), identity.decode()"
    yield f"if {_JSON_TEST} and key not in taken:"
    yield "    taken[key] = number + len(good)"
    yield "    add((key, json))"
    yield "    continue"


def _object_lines(name: str, pieces: Sequence[_Piece]) -> Iterator[str]:
    """The lines that build a dict with its keys in this order, those always there in one go."""
    always = list(takewhile(lambda piece: not piece.given, pieces))
    yield f"{name} = {{{', '.join(f'{piece.key!r}: {piece.value}' for piece in always)}}}"
    for piece in pieces[len(always) :]:
        given = f"if {piece.given}: " if piece.given else ""
        yield f"{given}{name}[{piece.key!r}] = {piece.value}"
