"""What a job message may say, and how a wrong one is explained."""

from typing import Any

import orjson
import pytest

from service.contract.messages import MAX_MESSAGE_BYTES, job_id_of, parse_job
from service.domain.errors import NotJson, Poison, SchemaViolation, Tombstone, TooLarge, UnknownType
from service.domain.model import MAX_JOB_ID, OnRowError, ReplaceScope
from service.domain.provider_types import ProviderType

FILE = {"url": "file:///srv/a.csv", "size": 3, "sha256": "a" * 64}
CSV = ProviderType.CSV_MODULE_PER_YEAR
API = ProviderType.API_MODULE_PER_YEAR
UNIT = ProviderType.CSV_MODULE_UNIT_SPECIFIC


def message(**fields: Any) -> dict[str, Any]:
    return {"job_id": 7, "year": 2025, "data_entry_type": "services", "file": FILE} | fields


def parsed(provider_type: ProviderType = CSV, **fields: Any) -> Any:
    said = {name: value for name, value in message(**fields).items() if value is not ...}
    return parse_job(provider_type, orjson.dumps(said))


def refused(provider_type: ProviderType = CSV, **fields: Any) -> str:
    with pytest.raises(SchemaViolation) as refusal:
        parsed(provider_type, **fields)
    return refusal.value.message


def test_a_message_needs_little_and_the_rest_has_defaults() -> None:
    job = parsed()
    assert (job.job_id, job.year, job.data_entry_type_id) == (7, 2025, 64)
    assert (job.replace_scope, job.on_row_error, job.based_on) == (
        ReplaceScope.AFFECTED,
        OnRowError.SKIP,
        None,
    )


def test_a_type_is_named_or_numbered() -> None:
    assert parsed(data_entry_type=64) == parsed(data_entry_type="services")


def test_unknown_fields_are_ignored() -> None:
    assert parsed(colour="green") == parsed()


@pytest.mark.parametrize("job_id", [1, MAX_JOB_ID])
def test_a_job_id_may_be_anything_up_to_2_to_the_53(job_id: int) -> None:
    assert parsed(job_id=job_id).job_id == job_id


@pytest.mark.parametrize("job_id", [0, -1, MAX_JOB_ID + 1, "7", 7.0, True, None, ...])
def test_a_job_id_beyond_its_bounds_is_refused_by_name(job_id: object) -> None:
    assert "job_id" in refused(job_id=job_id)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("year", 1899),
        ("year", 2201),
        ("year", "2025"),
        ("schema_version", 2),
        ("replace_scope", "all"),
        ("on_row_error", "ignore"),
        ("based_on", 0),
        ("submitted_by", "me"),
        ("data_entry_type", None),
    ],
)
def test_a_wrong_field_is_refused_by_name(field: str, value: object) -> None:
    assert field in refused(**{field: value})


@pytest.mark.parametrize(
    ("claim", "name"),
    [
        ({"size": -1}, "file.size"),
        ({"sha256": "a" * 63}, "file.sha256"),
        ({"content_encoding": "br"}, "file.content_encoding"),
    ],
)
def test_a_wrong_claim_is_refused_by_name(claim: dict[str, Any], name: str) -> None:
    assert name in refused(file=FILE | claim)


def test_a_csv_job_needs_a_file() -> None:
    assert "file" in refused(file=...)


@pytest.mark.parametrize("content", [{"file": ...}, {"rows": [{}]}])
def test_an_api_job_has_exactly_one_of_rows_and_file(content: dict[str, Any]) -> None:
    assert "exactly one of `rows` and `file`" in refused(API, **content)


def test_a_unit_specific_job_names_its_module() -> None:
    assert "carbon_report_module_id" in refused(UNIT)
    assert parsed(UNIT, carbon_report_module_id=12).key == "12"


def test_the_key_of_other_jobs_is_year_and_type() -> None:
    assert parsed().key == "2025:64"


def test_a_refusal_never_repeats_a_value() -> None:
    assert "s3cret" not in refused(file=FILE | {"sha256": "s3cret"})


@pytest.mark.parametrize("value", [b"", b"{", b"\xff", b'"\\ud800"', b"NaN", b"\xef\xbb\xbf{}"])
def test_what_is_not_json_is_poison(value: bytes) -> None:
    with pytest.raises(NotJson):
        parse_job(CSV, value)


@pytest.mark.parametrize("value", [b"[]", b"null", b"1"])
def test_json_that_is_no_object_is_poison(value: bytes) -> None:
    with pytest.raises(SchemaViolation, match="expected a JSON object"):
        parse_job(CSV, value)


def test_a_tombstone_is_poison() -> None:
    with pytest.raises(Tombstone):
        parse_job(CSV, None)


def test_an_unknown_type_is_poison_and_the_known_ones_are_hinted_at() -> None:
    with pytest.raises(UnknownType, match="services"):
        parsed(data_entry_type="service")


def test_a_message_may_have_a_mebibyte_and_no_more() -> None:
    padding = MAX_MESSAGE_BYTES - len(orjson.dumps(message(note="")))
    assert parsed(note="x" * padding) == parsed()
    with pytest.raises(TooLarge):
        parsed(note="x" * (padding + 1))


def test_a_fingerprint_is_about_what_is_asked_not_about_how_it_is_written() -> None:
    asked = parsed().fingerprint
    assert parsed(submitted_at="2026-03-18T14:00:00Z").fingerprint == asked
    assert parsed(data_entry_type=64, replace_scope="affected", note="ignored").fingerprint == asked
    assert parsed(file=FILE | {"sha256": "A" * 64}).fingerprint == asked


@pytest.mark.parametrize(
    "other",
    [
        {"year": 2024},
        {"replace_scope": "year"},
        {"on_row_error": "reject"},
        {"file": FILE | {"size": 4}},
        {"submitted_by": 1},
    ],
)
def test_another_wish_has_another_fingerprint(other: dict[str, Any]) -> None:
    assert parsed(**other).fingerprint != parsed().fingerprint


def test_the_same_words_on_another_topic_are_another_upload() -> None:
    external = parse_job(ProviderType.EXTERNAL_INTEGRATION, orjson.dumps(message()))
    assert external.fingerprint != parse_job(API, orjson.dumps(message())).fingerprint


def test_every_refusal_is_poison() -> None:
    assert all(
        issubclass(kind, Poison)
        for kind in (NotJson, SchemaViolation, Tombstone, TooLarge, UnknownType)
    )


@pytest.mark.parametrize("value", [b'{"job_id": 7}', b'{"job_id": 7, "year": "x"}'])
def test_the_job_id_of_a_wrong_message_can_be_read(value: bytes) -> None:
    assert job_id_of(value) == 7


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"job_id": "7"}',
        b'{"job_id": true}',
        b'{"job_id": 0}',
        b'{"job_id": 1e3}',
    ],
)
def test_what_is_no_job_id_is_none(value: bytes | None) -> None:
    assert job_id_of(value) is None
