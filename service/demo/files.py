"""Uploads as people really send them: accents, quotes, commas and newlines in cells, wrong rows."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from random import Random

Row = dict[str, str]

_ITEMS = (
    "Pipettes 200 µl, lot de 10",
    'Écran 27" «UltraSharp»',
    "Gants nitrile, taille M",
    "Boîtes de Pétri Ø 90 mm",
    "Congélateur −80 °C, pièces de rechange",
    "Câble Ethernet 3 m; blindé",
    "Lame de scie (Ø 125 mm) für Kreissäge",
    'Réactif "Bradford", 500 ml',
    "Chaises de bureau ergonomiques",
    "Tubes Eppendorf® 1,5 ml",
    "Filtre HEPA pour hotte à flux laminaire",
    "Papier A4 recyclé, 80 g/m²",
    "Détecteur à semi-conducteur, étalonné",
    "Vis inox M4×20, 1'000 pièces",
    "Batterie Li-ion 18 V",
    "Dewar pour azote liquide, 35 l",
    "Ordnerrücken, selbstklebend",
    "Œillères de protection laser, OD 6+",
)
_SUPPLIERS = (
    "Müller & Söhne AG",
    "Dupont, Père et Fils SA",
    'Labo "Précision" Sàrl',
    "O'Reilly Scientific Ltd",
    "Fournitures Générales, succursale de Genève",
    "Ångström Instruments AB",
    "Hernández y Compañía, S.L.",
    "島津製作所",
    "",
)
_NOTES = (
    "",
    "",
    "",
    "Livré en deux fois :\n6 boîtes, puis 4",
    'Remplace l\'ancien modèle, dit "le vieux"',
    "commande n° 4500017832, voir courriel du 3 mars",
)
ARTICLE_GROUPS = {
    "41116000": "Réactifs, solutions",
    "41121800": "Verrerie et plasticware",
    "43211500": "Ordinateurs, écrans",
    "44121600": "Fournitures de bureau",
    "46181500": "Vêtements de protection",
    "56112100": "Sièges",
    "27111700": "Outillage à main",
    "40161500": "Filtres",
    "26111700": "Piles et batteries",
    "41103000": "Matériel de réfrigération",
}
"""Article groups: code and description."""

_CURRENCIES = ("CHF", "chf", "", "EUR", "usd")
_NUMBER_COLUMNS = {"quantity", "total_spent_amount"}
_WRONG_CELLS: tuple[Row, ...] = (
    {"total_spent_amount": "1249,90"},
    {"name": "   "},
    {"unit_institutional_id": "99999"},
    {"total_spent_amount": "-40"},
    {"currency": "francs"},
    {"total_spent_amount": "sur devis"},
    {"quantity": "inf"},
)


def purchase(random: Random) -> Row:
    """Return one purchase as the cells of a file; it names no unit."""
    code = random.choice(tuple(ARTICLE_GROUPS))
    return {
        "name": random.choice(_ITEMS),
        "supplier": random.choice(_SUPPLIERS),
        "quantity": random.choice(("", "1", "2", "10", "2.5")),
        "total_spent_amount": f"{random.lognormvariate(5, 1.2):.2f}",
        "currency": random.choice(_CURRENCIES),
        "purchase_institutional_code": code,
        "purchase_institutional_description": ARTICLE_GROUPS[code],
        "note": random.choice(_NOTES),
    }


def purchases(random: Random, count: int, units: Sequence[str] = ()) -> list[Row]:
    """Return `count` purchases; each names one of `units`, or no unit if `units` is empty."""
    if not units:
        return [purchase(random) for _ in range(count)]
    return [
        {"unit_institutional_id": random.choice(units)} | purchase(random) for _ in range(count)
    ]


def spoil_eight_rows(rows: list[Row], unit_without_report: str) -> None:
    """Make eight rows wrong in place, each in its own way, spread evenly over the file."""
    wrong_cells = (*_WRONG_CELLS, {"unit_institutional_id": unit_without_report})
    for number, cells in enumerate(wrong_cells, start=1):
        rows[number * len(rows) // (len(wrong_cells) + 1)] |= cells


def with_decimal_commas(rows: list[Row]) -> list[Row]:
    """Return the same rows, with amounts as a spreadsheet set to French writes them."""
    return [
        row | {"total_spent_amount": row["total_spent_amount"].replace(".", ",")} for row in rows
    ]


def as_json(row: Row) -> dict[str, str | float | None]:
    """Return a row as a program sends it: numbers as numbers, empty cells as null."""
    return {name: _json_value(name, cell) for name, cell in row.items()}


def _json_value(name: str, cell: str) -> str | float | None:
    if not cell:
        return None
    return float(cell) if name in _NUMBER_COLUMNS else cell


def as_stored(row: Row) -> dict[str, str | float | None]:
    """Return a row as an entry's `data` holds it: empty cells are left out."""
    row = row | {"currency": row["currency"].lower() or "chf"}
    return {name: value for name, value in as_json(row).items() if value is not None}


def factors(*, dropped: int = 0, added: int = 0, corrected: int = 0) -> list[Row]:
    """Return factors, in kg CO2e per unit of currency, for each article group in three currencies.

    The first `dropped` groups are left out, `added` groups are new, and the first `corrected`
    factors have another value.
    """
    codes = [*list(ARTICLE_GROUPS)[dropped:], *(f"9900{number:04}" for number in range(added))]
    identities = [(code, currency) for code in codes for currency in ("chf", "eur", "usd")]
    return [
        _factor(code, currency, corrected=number < corrected)
        for number, (code, currency) in enumerate(identities)
    ]


def _factor(code: str, currency: str, *, corrected: bool) -> Row:
    emissions = int(code[:4]) / 10_000
    if corrected:
        emissions += 0.05
    return {
        "currency": currency,
        "purchase_institutional_code": code,
        "purchase_institutional_description": ARTICLE_GROUPS.get(code, "Nouveau groupe d'articles"),
        "ef_kg_co2eq_per_currency": f"{emissions:.4f}",
    }


def as_csv(rows: Iterable[Mapping[str, str]]) -> bytes:
    """Return the rows as a spreadsheet saves them: with a byte order mark, and CR LF line ends."""
    rows = list(rows)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8-sig")
