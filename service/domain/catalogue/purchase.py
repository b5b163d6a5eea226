"""Module 5: purchases. Seven types have the same columns; additional purchases have their own."""

from service.domain.catalogue.columns import Choice, Number, Text
from service.domain.catalogue.upload_types import EntryType, FactorType

MODULE = 5

_CODE = Text("purchase_institutional_code", "The article group's code.", "41116000", required=True)
_DESCRIPTION = Text(
    "purchase_institutional_description", "The article group in words.", "Réactifs, solutions"
)
_ADDITIONAL_CODE = Text(
    "purchase_additional_code", "A finer code within the article group.", "NB-12"
)

_COLUMNS = (
    Text("name", "What was bought.", "Pipettes 200 µl, lot de 10", required=True),
    Text("supplier", "Who sold it.", "Müller & Söhne AG"),
    Number("quantity", "How many.", "3"),
    Number(
        "total_spent_amount",
        "What was paid for all of it, in the given currency.",
        "1249.90",
        required=True,
    ),
    Choice(
        "currency",
        "The currency of the amount.",
        "chf",
        choices=("aud", "cad", "chf", "cny", "eur", "gbp", "jpy", "sek", "usd"),
        fold=True,
        default="chf",
    ),
    _CODE,
    _DESCRIPTION,
    _ADDITIONAL_CODE,
)

_PURCHASES = tuple(
    EntryType(type_id, name, MODULE, _COLUMNS)
    for type_id, name in (
        (60, "scientific_equipment"),
        (61, "it_equipment"),
        (62, "consumable_accessories"),
        (63, "biological_chemical_gaseous_product"),
        (64, "services"),
        (65, "vehicles"),
        (66, "other_purchases"),
    )
)

ADDITIONAL = EntryType(
    67,
    "additional_purchases",
    MODULE,
    (
        Text("name", "What was used.", "Azote liquide", required=True),
        Text("unit", "What the consumption counts.", "l", required=True),
        Number(
            "annual_consumption",
            "Consumption in the year, in the given unit.",
            "320",
            required=True,
        ),
        Number("coef_to_kg", "Kilograms per unit.", "0.808", required=True, measure="kg"),
    ),
)

ENTRIES = (*_PURCHASES, ADDITIONAL)

FACTORS = (
    *(
        FactorType(
            entry.id,
            entry.name,
            MODULE,
            identity=(
                Text(
                    "currency",
                    "The currency that the emissions are stated for.",
                    "chf",
                    required=True,
                ),
                _CODE,
                _ADDITIONAL_CODE,
            ),
            values=(
                _DESCRIPTION,
                Number(
                    "ef_kg_co2eq_per_currency",
                    "Emissions per unit of currency.",
                    "0.41",
                    required=True,
                    measure="kg CO2e",
                ),
            ),
        )
        for entry in _PURCHASES
    ),
    FactorType(
        ADDITIONAL.id,
        ADDITIONAL.name,
        MODULE,
        identity=(Text("name", "What is used.", "Azote liquide", required=True),),
        values=(
            Number(
                "ef_kg_co2eq_per_kg",
                "Emissions per kilogram.",
                "0.43",
                required=True,
                measure="kg CO2e/kg",
            ),
        ),
    ),
)
