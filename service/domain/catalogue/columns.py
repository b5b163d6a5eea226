"""What a column of an upload may hold, as declarations: one small class per kind of value."""

from dataclasses import KW_ONLY, dataclass
from math import inf

from service.domain.texts.english import bounds

MAX_WHOLE = 2**53 - 1
"""The largest whole number that is kept: beyond it, readers of JSON round."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its exact name in a header, what it means, and a value as an example.

    An optional column whose example is empty stays empty in templates.
    """

    name: str
    meaning: str
    example: str
    _: KW_ONLY
    required: bool = False
    default: str | int | None = None
    stored_as: str | None = None

    @property
    def key(self) -> str:
        """The name of the value where it is stored."""
        return self.stored_as or self.name


@dataclass(frozen=True, slots=True)
class Text(Column):
    """Any text, trimmed."""


@dataclass(frozen=True, slots=True)
class Number(Column):
    """A number in decimal notation, read as a 64-bit float; the bounds belong to the range."""

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
    """One of a list of texts; with `fold`, in any case, and stored as listed (in lower case)."""

    values: tuple[str, ...] = ()
    fold: bool = False


@dataclass(frozen=True, slots=True)
class Date(Column):
    """A day of the calendar, `YYYY-MM-DD`."""
