"""Module 1: the people of a unit."""

from service.domain.catalogue.columns import Choice, Number, Text
from service.domain.catalogue.upload_types import EntryType, FactorType

MODULE = 1

MEMBER = EntryType(
    1,
    "member",
    MODULE,
    (
        Text("name", "The person's name.", "Chloé Dubois", required=True),
        Choice(
            "sius_code",
            "The person's category in the Swiss university information system.",
            "52",
            required=True,
            choices=("51", "52", "53", "54", "56", "57", "58", "59"),
        ),
        Text(
            "user_institutional_id",
            "The person's institutional id; one entry per module and person.",
            "302417",
            required=True,
        ),
        Number(
            "fte",
            "The person's full-time equivalent.",
            "0.8",
            required=True,
            maximum=1,
            measure="FTE",
        ),
    ),
    unique="user_institutional_id",
)

STUDENT = EntryType(
    2,
    "student",
    MODULE,
    (
        Number(
            "fte",
            "Full-time equivalents of all students together.",
            "14.5",
            required=True,
            measure="FTE",
        ),
    ),
)

ENTRIES = (MEMBER, STUDENT)

FACTORS = tuple(
    FactorType(
        entry.id,
        entry.name,
        MODULE,
        identity=(
            Text("headcount_category", "What is consumed.", "food", required=True),
            Text("headcount_class", "Its class.", "vegetarian", required=True),
            Text("headcount_subclass", "Its subclass.", "lunch"),
        ),
        values=(
            Text("unit", "What the numbers count.", "meal", required=True),
            Number(
                "number_of_unit_per_fte", "Units per full-time equivalent.", "210", required=True
            ),
            Number(
                "ef_kg_co2eq_per_unit",
                "Emissions per unit.",
                "0.51",
                required=True,
                measure="kg CO2e",
            ),
        ),
    )
    for entry in ENTRIES
)
