"""The demo's checks notice what they are there for."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aiokafka import ConsumerRecord

from service.contract.events import FactorsLine, Rows, SourceLine, UploadCompleted
from service.demo.author import OutgoingJob
from service.demo.script import StoryStep
from service.demo.snapshot import Slice, SliceContent, Snapshot
from service.demo.step_result import StepResult
from service.demo.university import TYPE, YEAR
from service.domain.model import Outcome
from service.domain.provider_types import DataEntrySource, ProviderType

MODULE = 17
TYPED = Slice("data_entries", "calculator", YEAR, TYPE.id, MODULE, DataEntrySource.USER_MANUAL)
UPLOADED = TYPED._replace(source=DataEntrySource.CSV_MODULE_PER_YEAR)
ELSEWHERE = UPLOADED._replace(module_id=18)
BEFORE = Snapshot(
    {TYPED: SliceContent(3, "a"), UPLOADED: SliceContent(5, "b"), ELSEWHERE: SliceContent(7, "c")},
    {"x": 1, "y": 2},
)
AFTER = Snapshot(dict(BEFORE.slices) | {UPLOADED: SliceContent(8, "d")}, BEFORE.factor_ids)
NOW = datetime(2026, 3, 18, tzinfo=UTC)
EVENT = UploadCompleted(
    job_id=9,
    provider_type=ProviderType.CSV_MODULE_PER_YEAR,
    outcome=Outcome.SUCCEEDED,
    year=YEAR,
    data_entry_type=TYPE.name,
    rows=Rows(total=8, processed=8, skipped=0),
    row_errors=[],
    reason=None,
    reject_file=None,
    sources=[
        SourceLine(source="CSV_MODULE_PER_YEAR", deleted=5, inserted=8, remaining=8),
        SourceLine(source="USER_MANUAL", deleted=0, inserted=0, remaining=3),
    ],
    factors=None,
    affected_modules=[MODULE],
    superseded_by=None,
    attempts=1,
    started_at=NOW,
    finished_at=NOW,
)


def step_result(event: UploadCompleted = EVENT, after: Snapshot = AFTER, **more: Any) -> StepResult:
    """A step that replaced five rows of a module by eight."""
    provider_type = ProviderType(event.provider_type)
    step = StoryStep("A file", "It replaces.", OutgoingJob(provider_type, 9, b"{}", "8 rows"))
    value = event.model_dump_json().encode()
    record: ConsumerRecord[Any, Any] = ConsumerRecord(
        "t", 0, 0, 0, 0, b"key", value, None, 0, 0, (("ce_id", b"1"),)
    )
    return replace(StepResult(1, step, BEFORE, after, "t", record, 0.1), **more)


def failed(result: StepResult) -> list[str]:
    return [check.claim for check in result.checks if not check.holds]


def changed(slice_: Slice, content: SliceContent) -> Snapshot:
    return Snapshot(dict(AFTER.slices) | {slice_: content}, AFTER.factor_ids)


def test_a_step_that_went_as_it_must_passes() -> None:
    assert failed(step_result()) == []


def test_another_outcome_is_noticed() -> None:
    assert "succeeded, as it must be" in failed(
        step_result(EVENT.model_copy(update={"outcome": Outcome.PARTIAL}))
    )


def test_a_typed_row_with_another_value_is_noticed() -> None:
    assert failed(step_result(after=changed(TYPED, SliceContent(3, "A")))) == ["nothing else moved"]


def test_a_row_of_a_unit_that_the_event_does_not_name_is_noticed() -> None:
    assert failed(step_result(after=changed(ELSEWHERE, SliceContent(7, "C")))) == [
        "nothing else moved"
    ]


def test_a_count_of_the_event_that_is_not_the_tables_is_noticed() -> None:
    assert failed(step_result(after=changed(UPLOADED, SliceContent(9, "d")))) == [
        "event agrees with SQL"
    ]


def test_a_row_that_moved_under_a_rejected_job_is_noticed() -> None:
    rejected = EVENT.model_copy(
        update={"outcome": Outcome.REJECTED, "sources": [], "affected_modules": []}
    )
    assert "no row moved" in failed(step_result(rejected))


def test_a_factor_that_lost_its_id_is_noticed() -> None:
    counts = FactorsLine(inserted=0, updated=2, deleted=0, remaining=2)
    event = EVENT.model_copy(
        update={
            "provider_type": ProviderType.FACTORS,
            "factors": counts,
            "sources": [],
            "affected_modules": [],
        }
    )
    assert failed(step_result(event, Snapshot(BEFORE.slices, {"x": 1, "y": 3}))) == [
        "1 of 2 ids kept"
    ]


def test_an_event_that_differs_in_one_header_from_the_first_is_noticed() -> None:
    first, again = step_result(), step_result(after=BEFORE)
    assert failed(replace(again, first=first)) == []
    other = replace(first.record, headers=(("ce_id", b"2"),))
    assert failed(replace(again, first=replace(first, record=other))) == [
        "the first event, byte for byte"
    ]


def test_foreign_rows_are_told_from_the_uploads_own() -> None:
    assert set(BEFORE.foreign()) == {"typed in by hand (USER_MANUAL)"}
    simulated, older = TYPED._replace(kind="simulator"), UPLOADED._replace(year=YEAR - 1)
    assert [
        slice_.foreign
        for slice_ in (UPLOADED, simulated, older, Slice("factors", year=YEAR, type_id=TYPE.id))
    ] == [
        None,
        "entries of simulators' reports",
        f"entries of {YEAR - 1}",
        None,
    ]
