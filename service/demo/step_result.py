"""What one step of the story did: the event, the tables before and after it, and the checks."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aiokafka import ConsumerRecord

from service.contract.events import FactorsLine, UploadCompleted
from service.demo.script import StoryStep
from service.demo.snapshot import Slice, Snapshot
from service.demo.university import TYPE, YEAR


@dataclass(frozen=True, slots=True)
class StepCheck:
    """A claim that must be true after a step, and whether it is."""

    claim: str
    holds: bool


@dataclass(frozen=True)
class StepResult:
    """A step that was run: the tables before and after it, and the record of its event.

    `seconds` is the time from the message to the event. `first` is the result of the step whose
    message this step repeats.
    """

    number: int
    step: StoryStep
    before: Snapshot
    after: Snapshot
    topic: str
    record: ConsumerRecord[Any, Any]
    seconds: float
    first: "StepResult | None" = None

    @cached_property
    def event(self) -> UploadCompleted:
        """The completion event, parsed."""
        return UploadCompleted.model_validate_json(self.record.value)

    @property
    def checks(self) -> list[StepCheck]:
        """Everything that must be true after this step."""
        return list(self._checks())

    @property
    def passed(self) -> bool:
        return all(check.holds for check in self.checks)

    @property
    def moves(self) -> bool:
        """Return True if this step changed rows."""
        return self.event.outcome.changes_rows and self.first is None

    def _checks(self) -> Iterator[StepCheck]:
        expected = self.step.outcome
        yield StepCheck(f"{expected}, as it must be", self.event.outcome is expected)
        yield self._check_changed_rows()

        if self.moves:
            rows = self.event.rows
            yield StepCheck("rows add up", rows.total == rows.processed + rows.skipped)
            yield StepCheck("event agrees with SQL", self._event_agrees_with_sql())
        if self.step.adds_nothing:
            same_counts = self.before.counts() == self.after.counts()
            yield StepCheck("as many rows as before", same_counts)
        if self.event.factors is not None:
            in_both, with_same_id = self._count_kept_factors()
            yield StepCheck(f"{with_same_id} of {in_both} ids kept", in_both == with_same_id)
        if self.first is not None:
            same_bytes = _bytes_of(self.record) == _bytes_of(self.first.record)
            yield StepCheck("the first event, byte for byte", same_bytes)

    def _check_changed_rows(self) -> StepCheck:
        changed = self.before.changed(self.after)
        if self.moves:
            return StepCheck("nothing else moved", changed <= self._slices_of_this_job())
        return StepCheck("no row moved", not changed)

    def _slices_of_this_job(self) -> set[Slice]:
        """Return the slices that this job may write."""
        if self.event.factors is not None:
            return {Slice("factors", year=YEAR, type_id=TYPE.id)}
        source = self.step.message.provider_type.source
        return {
            Slice("data_entries", "calculator", YEAR, TYPE.id, module_id, source)
            for module_id in self.event.affected_modules
        }

    def _event_agrees_with_sql(self) -> bool:
        if self.event.factors is not None:
            return self._factors_agree(self.event.factors)
        return self._sources_agree()

    def _factors_agree(self, factors: FactorsLine) -> bool:
        before = factors.remaining - factors.inserted + factors.deleted
        in_sql = (len(self.before.factor_ids), len(self.after.factor_ids))
        return (before, factors.remaining) == in_sql

    def _sources_agree(self) -> bool:
        """Compare the event's counts of each source with those of the affected modules in SQL."""
        before = self.before.counts(self.event.affected_modules)
        after = self.after.counts(self.event.affected_modules)
        # a source that the event does not list has no rows there
        event_before, event_after = dict.fromkeys(before, 0), dict.fromkeys(before, 0)
        for line in self.event.sources:
            event_before[line.source] = line.remaining - line.inserted + line.deleted
            event_after[line.source] = line.remaining
        return (event_before, event_after) == (before, after)

    def _count_kept_factors(self) -> tuple[int, int]:
        """Count the factors in both the old and the new set, and those of them with the same id."""
        old, new = self.before.factor_ids, self.after.factor_ids
        in_both = old.keys() & new.keys()
        return len(in_both), sum(old[name] == new[name] for name in in_both)


def _bytes_of(record: ConsumerRecord[Any, Any]) -> tuple[Any, ...]:
    return record.key, record.value, tuple(record.headers)
