"""What came of one scene: the event, the tables before and after it, and what must be so."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aiokafka import ConsumerRecord

from service.contract.events import UploadCompleted
from service.demo.script import Scene
from service.demo.snapshot import Slice, Snapshot
from service.demo.university import TYPE, YEAR


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must be so, and whether it is."""

    claim: str
    holds: bool


@dataclass(frozen=True)
class Played:
    """A scene as it went: the tables before and after, the event, and the seconds from the message to it.

    `first` is the scene whose message this one repeats.
    """

    number: int
    scene: Scene
    before: Snapshot
    after: Snapshot
    topic: str
    record: ConsumerRecord[Any, Any]
    seconds: float
    first: "Played | None" = None

    @cached_property
    def event(self) -> UploadCompleted:
        """What the event says."""
        return UploadCompleted.model_validate_json(self.record.value)

    @property
    def checks(self) -> list[Check]:
        """What must be so after this scene."""
        checks = [
            Check(f"{self.scene.outcome}, as it must be", self.event.outcome is self.scene.outcome),
            Check(
                "nothing else moved" if self.moves else "no row moved", self._only_its_own_changed()
            ),
        ]
        if self.moves:
            rows = self.event.rows
            checks += [
                Check("rows add up", rows.total == rows.processed + rows.skipped),
                Check("event agrees with SQL", self._agrees_with_sql()),
            ]
        if self.scene.adds_nothing:
            checks.append(
                Check("as many rows as before", self.before.counts() == self.after.counts())
            )
        if self.event.factors is not None:
            kept, stayed = self._kept_ids()
            checks.append(Check(f"{stayed} of {kept} ids kept", kept == stayed))
        if self.first is not None:
            checks.append(
                Check("the first event, byte for byte", _bytes(self) == _bytes(self.first))
            )
        return checks

    @property
    def passed(self) -> bool:
        return all(check.holds for check in self.checks)

    @property
    def moves(self) -> bool:
        """Whether this scene changed rows."""
        return self.event.outcome.changes_rows and self.first is None

    def _only_its_own_changed(self) -> bool:
        changed = self.before.changed(self.after)
        return changed <= self._own() if self.moves else not changed

    def _own(self) -> set[Slice]:
        """The slices that this job may write."""
        if self.event.factors is not None:
            return {Slice("factors", year=YEAR, type_id=TYPE.id)}
        source = self.scene.message.provider_type.source
        return {
            Slice("data_entries", "calculator", YEAR, TYPE.id, m, source)
            for m in self.event.affected_modules
        }

    def _agrees_with_sql(self) -> bool:
        if self.event.factors is not None:
            factors, ids = (
                self.event.factors,
                (len(self.before.factor_ids), len(self.after.factor_ids)),
            )
            return (
                factors.remaining - factors.inserted + factors.deleted,
                factors.remaining,
            ) == ids
        before, after = (
            shot.counts(self.event.affected_modules) for shot in (self.before, self.after)
        )
        told_after = {line.source: line.remaining for line in self.event.sources}
        told_before = {
            line.source: line.remaining - line.inserted + line.deleted
            for line in self.event.sources
        }
        return all(
            (told_before.get(source, 0), told_after.get(source, 0))
            == (before[source], after[source])
            for source in before
        )

    def _kept_ids(self) -> tuple[int, int]:
        """How many factors are in the old set and in the new one, and how many of these have their old id."""
        kept = self.before.factor_ids.keys() & self.after.factor_ids.keys()
        return len(kept), sum(
            self.before.factor_ids[name] == self.after.factor_ids[name] for name in kept
        )


def _bytes(played: Played) -> tuple[Any, ...]:
    record = played.record
    return record.key, record.value, tuple(record.headers)
