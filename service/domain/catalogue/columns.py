"""Declarations of columns: one small class for each kind of value that a cell may hold."""

from dataclasses import KW_ONLY, dataclass
from math import inf

from service.domain.texts.english import bounds

MAX_WHOLE = 2**53 - 1
"""The largest whole number that is accepted. Many JSON readers round larger ones."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an upload.

    `name` is the exact name in the header. `meaning` and `example` are for people; templates have
    the example as a cell, so an empty example leaves the cell empty. `default` is the value of an
    empty cell. `stored_as` is declared only if the value is stored under another key than `name`.
    """

    name: str
    meaning: str
    example: str
    _: KW_ONLY
    required: bool = False
    default: str | int | None = None
    stored_as: str | None = None

    @property
    def json_key(self) -> str:
        """The key of the value in the JSON that is stored: `stored_as`, or else `name`."""
        return self.stored_as or self.name


@dataclass(frozen=True, slots=True)
class Text(Column):
    """Any text. Blanks around it are removed.

    With `upper`, the value is stored in upper case: for codes that the application compares
    exactly.
    """

    upper: bool = False


@dataclass(frozen=True, slots=True)
class Number(Column):
    """A number in decimal notation, read as a 64-bit float.

    `minimum` and `maximum` are allowed values themselves. `measure` is the unit of measure, which
    messages show after the bounds.
    """

    minimum: float = 0
    maximum: float = inf
    measure: str = ""

    @property
    def bounds(self) -> str:
        """The range in words, with its unit of measure."""
        return bounds(self.minimum, self.maximum, self.measure)


@dataclass(frozen=True, slots=True)
class Integer(Number):
    """A whole number of at most `MAX_WHOLE`; `40.0` and `4e1` are whole, `40.5` is not."""


@dataclass(frozen=True, slots=True)
class Choice(Column):
    """One of the texts in `choices`.

    With `fold`, upper case is accepted too, and the value is stored as listed (in lower case).
    """

    choices: tuple[str, ...] = ()
    fold: bool = False


@dataclass(frozen=True, slots=True)
class Date(Column):
    """A day of the calendar, `YYYY-MM-DD` or `YYYY/MM/DD`, and a time of day if there is one.

    It is stored in the form of ISO 8601: `2025-03-18`, or `2025-03-18T14:30:00`.
    """
