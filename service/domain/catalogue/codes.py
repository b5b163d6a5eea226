"""The codes of row errors. Programs may rely on them, so a code never changes its meaning."""

from enum import StrEnum
from typing import Self


class RowErrorCode(StrEnum):
    """The code of a row error. `meaning` is its line in docs/catalogue.md."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Self:
        # An enum member that is also a str needs its text here and in `_value_`.
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    REQUIRED = "required", "A required value is missing."
    NOT_A_NUMBER = (
        "not_a_number",
        (
            "Not a number in decimal notation; "
            "an exponent is fine, `_` and other scripts' digits are not."
        ),
    )
    NOT_AN_INTEGER = "not_an_integer", "A number with a fraction where a whole one is expected."
    OUT_OF_BOUNDS = (
        "out_of_bounds",
        "A number outside its bounds, or two numbers whose sum is above theirs.",
    )
    NOT_FINITE = "not_finite", "`nan`, `inf`, or a number too large to be stored."
    NOT_IN_LIST = "not_in_list", "A text that is not one of the column's values."
    NUL_CHARACTER = "nul_character", "A NUL character (U+0000), which the database cannot store."
    DECIMAL_COMMA = "decimal_comma", "A comma in a number, as in `0,5`: write `0.5`."
    BAD_DATE = (
        "bad_date",
        "Not a day in the form `YYYY-MM-DD`, with or without a time of day.",
    )
    UNKNOWN_UNIT = "unknown_unit", "No unit has this institutional id."
    UNIT_WITHOUT_REPORT = (
        "unit_without_report",
        "The unit has no calculator report of the job's year.",
    )
    DUPLICATE = (
        "duplicate",
        (
            "An earlier valid row, or a stored entry that this upload does not replace, "
            "is the same one."
        ),
    )
    NESTED_VALUE = (
        "nested_value",
        (
            "Inline rows only: a list, an object, `true` or `false` "
            "where a text or a number is expected."
        ),
    )
