"""What the model knows of the catalogue: it reads a row of text, or finds its first error."""

from collections.abc import Mapping
from typing import Any

Cells = Mapping[str, str]
MEMBER, STUDENT, PURCHASE = 1, 2, 66
SIUS_CODES = {"51", "52", "53", "54", "56", "57", "58", "59"}


class Bad(Exception):
    """A row is invalid; the arguments are the column and the error code."""


def is_row(row: Cells) -> bool:
    return any(cell.strip() for cell in row.values())


def read_entry(type_id: int, row: Cells) -> dict[str, Any]:
    """The data of an entry; columns are read in the catalogue's order."""
    if type_id == MEMBER:
        data = {
            "name": text(row, "name"),
            "sius_code": one_of(row, "sius_code", SIUS_CODES),
            "user_institutional_id": text(row, "user_institutional_id"),
            "fte": number(row, "fte", at_most=1),
        }
    elif type_id == STUDENT:
        data = {"fte": number(row, "fte")}
    else:
        data = {
            "name": text(row, "name"),
            "total_spent_amount": number(row, "total_spent_amount"),
            "currency": "chf",
            "purchase_institutional_code": text(row, "purchase_institutional_code"),
        }
    if row["kg_co2eq"].strip():
        data["__kg_co2eq_override__"] = number(row, "kg_co2eq")
    return data


def read_identity(row: Cells) -> dict[str, str]:
    """The identity of a factor; an absent column is left out."""
    identity = {name: text(row, name) for name in ("headcount_category", "headcount_class")}
    subclass = row["headcount_subclass"].strip()
    return identity | {"headcount_subclass": subclass} if subclass else identity


def read_values(row: Cells) -> dict[str, Any]:
    """The values of a factor."""
    numbers = ("number_of_unit_per_fte", "ef_kg_co2eq_per_unit")
    return {"unit": text(row, "unit")} | {name: number(row, name) for name in numbers}


def text(row: Cells, column: str) -> str:
    cell = row.get(column, "").strip()
    if not cell:
        raise Bad(column, "required")
    return cell


def one_of(row: Cells, column: str, values: set[str]) -> str:
    cell = text(row, column)
    if cell not in values:
        raise Bad(column, "not_in_list")
    return cell


def number(row: Cells, column: str, *, at_most: float = 1e300) -> float:
    cell = text(row, column)
    if "," in cell:
        raise Bad(column, "decimal_comma")
    try:
        value = float(cell)
    except ValueError:
        raise Bad(column, "not_a_number") from None
    if not 0 <= value <= at_most:
        raise Bad(column, "out_of_bounds")
    return value
