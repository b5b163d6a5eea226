"""The declarations against the specification, written out by hand in a short form."""

import pytest

from service.domain.catalogue import (
    ENTRY_TYPES,
    FACTOR_TYPES,
    MODULES,
    UNIT,
    Choice,
    Column,
    Date,
    Integer,
    Number,
    Text,
    columns_of,
    entry_type,
    factor_type,
    module_name,
)
from service.domain.errors import UnknownType

# The short form of a column: `name*` is required, `[low,high]` are the bounds of a number, `{a,b}`
# are the values of a list, and `=x` is the default.
EQUIPMENT = (
    "equipment_id* name* equipment_class* sub_class "
    "active_usage_hours_per_week:int[0,168] standby_usage_hours_per_week:int[0,168]"
)
PURCHASE = (
    "name* supplier quantity[0,inf] total_spent_amount*[0,inf] "
    "currency{aud,cad,chf,cny,eur,gbp,jpy,sek,usd}:any-case=chf "
    "purchase_institutional_code* purchase_institutional_description purchase_additional_code"
)
ENTRIES = {
    (1, "member", 1): (
        "name* sius_code*{51,52,53,54,56,57,58,59} user_institutional_id* fte*[0,1]"
    ),
    (2, "student", 1): "fte*[0,inf]",
    (10, "scientific", 4): EQUIPMENT,
    (11, "it", 4): EQUIPMENT,
    (12, "other", 4): EQUIPMENT,
    (20, "plane", 2): (
        "origin_iata*:upper destination_iata*:upper user_institutional_id* "
        "cabin_class*{first,business,economy}:any-case departure_date:date "
        "number_of_trips:int[1,inf]"
    ),
    (21, "train", 2): (
        "origin_name* origin_country_code*:upper "
        "destination_name* destination_country_code*:upper "
        "user_institutional_id* cabin_class*{first,second}:any-case departure_date:date "
        "number_of_trips:int[1,inf]"
    ),
    (30, "building", 3): (
        "building_name* room_name* "
        "room_type*{office,miscellaneous,laboratories,archives,libraries,auditoriums} "
        "room_allocation_ratio[0,1]"
    ),
    (31, "energy_combustion", 3): "name* quantity*[0,inf]",
    (32, "building_embodied_energy", 3): "building_name*",
    (40, "external_clouds", 7): (
        "service_type* provider* spent_amount*[0,inf] currency{chf,eur,usd}:any-case=eur"
    ),
    (41, "external_ai", 7): (
        "provider* usage_type* requests_per_user_per_day*{1_5,5_20,20_100,gt_100} "
        "fte_count*[0.1,inf]"
    ),
    (50, "process_emissions", 8): "category* subcategory quantity*[0,inf]",
    (60, "scientific_equipment", 5): PURCHASE,
    (61, "it_equipment", 5): PURCHASE,
    (62, "consumable_accessories", 5): PURCHASE,
    (63, "biological_chemical_gaseous_product", 5): PURCHASE,
    (64, "services", 5): PURCHASE,
    (65, "vehicles", 5): PURCHASE,
    (66, "other_purchases", 5): PURCHASE,
    (67, "additional_purchases", 5): "name* unit* annual_consumption*[0,inf] coef_to_kg*[0,inf]",
    (70, "research_facilities", 6): (
        "researchfacility_id* researchfacility_name* use*[0,inf] use_unit*"
    ),
    (71, "mice_and_fish_animal_facilities", 6): (
        "researchfacility_id* researchfacility_name* use*[0,inf] use_unit* researchfacility_type*"
    ),
}

HEADCOUNT_FACTORS = (
    "headcount_category* headcount_class* headcount_subclass",
    "unit* number_of_unit_per_fte*[0,inf] ef_kg_co2eq_per_unit*[0,inf]",
)
EQUIPMENT_FACTORS = (
    "equipment_class* sub_class",
    (
        "active_power_w*[0,inf] standby_power_w*[0,inf] active_usage_hours_per_week*[0,inf] "
        "standby_usage_hours_per_week*[0,inf] ef_kg_co2eq_per_kwh*[0,inf]"
    ),
)
PURCHASE_FACTORS = (
    "currency* purchase_institutional_code* purchase_additional_code",
    "purchase_institutional_description ef_kg_co2eq_per_currency*[0,inf]",
)
FACTORS = {
    **dict.fromkeys((1, 2), HEADCOUNT_FACTORS),
    **dict.fromkeys((10, 11, 12), EQUIPMENT_FACTORS),
    20: (
        "category* cabin_class*",
        (
            "ef_kg_co2eq_per_km*[0,inf] rfi_adjustment*[0,inf] "
            "min_distance*[0,inf] max_distance*[0,inf]"
        ),
    ),
    21: ("country_code*", "ef_kg_co2eq_per_km*[0,inf]"),
    30: (
        "building_name* room_type* energy_type*",
        (
            "heating_kwh_per_square_meter*[0,inf] cooling_kwh_per_square_meter*[0,inf] "
            "ventilation_kwh_per_square_meter*[0,inf] lighting_kwh_per_square_meter*[0,inf] "
            "ef_kg_co2eq_per_kwh*[0,inf] conversion_factor[0,inf]"
        ),
    ),
    31: ("name* unit*", "ef_kg_co2eq_per_unit*[0,inf]"),
    32: ("building_name* category*", "ef_kgco2eq_per_m2*[0,inf]"),
    40: ("service_type* provider* currency*", "ef_kg_co2eq_per_currency*[0,inf]"),
    41: ("provider* usage_type*", "ef_kg_co2eq_per_request*[0,inf]"),
    50: ("category* subcategory", "unit* ef_kg_co2eq_per_unit*[0,inf]"),
    **dict.fromkeys(range(60, 67), PURCHASE_FACTORS),
    67: ("name*", "ef_kg_co2eq_per_kg*[0,inf]"),
    70: (
        "researchfacility_id* researchfacility_name* use_unit*",
        "total_use*[0,inf] kg_co2eq_sum[0,inf]",
    ),
    71: (
        "researchfacility_id* researchfacility_name* use_unit* researchfacility_type*",
        "total_use*[0,inf] kg_co2eq_sum[0,inf]",
    ),
}


def _values(column: Column) -> str:
    match column:
        case Integer():
            return f":int[{column.minimum:g},{column.maximum:g}]"
        case Number():
            return f"[{column.minimum:g},{column.maximum:g}]"
        case Choice():
            return f"{{{','.join(column.choices)}}}{':any-case' if column.fold else ''}"
        case Date():
            return ":date"
        case Text(upper=True):
            return ":upper"
        case _:
            return ""


def _short(columns: tuple[Column, ...]) -> str:
    default = {
        column.name: "" if column.default is None else f"={column.default}" for column in columns
    }
    return " ".join(f"{c.name}{'*' * c.required}{_values(c)}{default[c.name]}" for c in columns)


def test_there_are_the_specified_types_and_no_others():
    entries, factors = ENTRY_TYPES.values(), FACTOR_TYPES.values()
    assert [(entry.id, entry.name, entry.module_type_id) for entry in entries] == list(ENTRIES)
    assert [(factor.id, factor.name, factor.module_type_id) for factor in factors] == list(ENTRIES)


@pytest.mark.parametrize("spec", ENTRIES, ids=lambda spec: spec[1])
def test_an_entry_type_has_the_specified_columns(spec):
    assert _short(entry_type(spec[0]).own) == ENTRIES[spec]


@pytest.mark.parametrize("type_id", FACTORS)
def test_a_factor_type_has_the_specified_identity_and_values(type_id):
    factor = factor_type(type_id)
    assert (_short(factor.identity), _short(factor.values)) == FACTORS[type_id]


@pytest.mark.parametrize("entry", ENTRY_TYPES.values(), ids=lambda entry: entry.name)
def test_every_entry_type_accepts_a_note_and_an_override_last_and_a_unit_first_in_per_year_files(
    entry,
):
    columns = columns_of(entry, per_year=True)
    assert _short((columns[0], *columns[-2:])) == "unit_institutional_id* note kg_co2eq[0,inf]"
    assert columns_of(entry, per_year=False) == columns[1:]
    assert [column.json_key for column in columns if column.json_key != column.name] == [
        "__kg_co2eq_override__"
    ]


def test_only_equipment_has_a_sum_and_only_members_are_unique():
    rule = entry_type("it").sum_at_most
    assert rule is not None
    assert (rule.columns, rule.maximum) == (
        ("active_usage_hours_per_week", "standby_usage_hours_per_week"),
        168,
    )
    assert [entry.id for entry in ENTRY_TYPES.values() if entry.sum_at_most] == [10, 11, 12]
    assert {entry.name: entry.unique for entry in ENTRY_TYPES.values() if entry.unique} == {
        "member": "user_institutional_id"
    }


def test_factors_have_no_unit():
    assert all(UNIT not in columns_of(factor, per_year=True) for factor in FACTOR_TYPES.values())


@pytest.mark.parametrize("key", [66, "66", "other_purchases", " other_purchases "])
def test_a_type_is_found_by_number_and_by_name(key):
    assert entry_type(key).id == 66
    assert factor_type(key).id == 66


@pytest.mark.parametrize(
    "key", [0, 99, -1, "", "Member", "members", "6_6", "٦٦", "66.0", True, "9" * 5000]
)
def test_an_unknown_type_is_refused(key):
    with pytest.raises(UnknownType):
        entry_type(key)
    with pytest.raises(UnknownType):
        factor_type(key)


def test_a_misspelt_type_is_answered_with_those_close_to_it():
    with pytest.raises(
        UnknownType, match=r'no "Other_Purchase"; expected .* other_purchases \(66\)'
    ):
        entry_type("Other_Purchase")


def test_a_long_unknown_name_is_cut_in_the_message():
    with pytest.raises(UnknownType) as caught:
        entry_type("x" * 5000)
    assert len(caught.value.message) < 900


def test_modules_have_their_names():
    assert list(MODULES) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (module_name(5), module_name(7), module_name(9)) == (
        "purchase",
        "cloud and AI",
        "module type 9",
    )
