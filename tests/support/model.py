"""The rules of the domain as a plain program over lists: slow, obvious, independent of the service.

It knows only the part of the catalogue that the tests use: members, students and other purchases,
and the factors of the first two.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.support.model_rows import (
    MEMBER,
    Bad,
    Cells,
    is_row,
    read_entry,
    read_identity,
    read_values,
)
from tests.support.model_types import (
    MODULE_TYPES,
    SOURCES,
    EventSummary,
    Factor,
    Identity,
    ModelJob,
    Module,
    Row,
    name_of_source,
)


class Conflict(Exception):
    """The job id belongs to another upload."""


@dataclass
class Model:
    """Everything that jobs read and write."""

    modules: list[Module]
    rows: list[Row] = field(default_factory=list)
    factors: list[Factor] = field(default_factory=list)
    heads: dict[tuple[int, int, int], int] = field(default_factory=dict)
    factor_heads: dict[tuple[int, int], int] = field(default_factory=dict)
    ledger: dict[int, tuple[ModelJob, EventSummary]] = field(default_factory=dict)

    def take(self, upload: ModelJob) -> EventSummary:
        """Process one delivery; return what its event says. Raises `Conflict`."""
        if upload.job_id not in self.ledger:
            is_factors = upload.provider_type == "factors"
            apply = self._take_factors if is_factors else self._take_entries
            self.ledger[upload.job_id] = upload, apply(upload)
        first, summary = self.ledger[upload.job_id]
        if first != upload:
            raise Conflict
        return summary

    def _take_entries(self, upload: ModelJob) -> EventSummary:
        if upload.appends and (reason := self._unfit(upload)):
            return EventSummary("rejected", reason)
        good, spared, summary = self._read_entries(upload)
        if summary.outcome == "rejected":
            return summary
        receivers = {row.module for row in good}
        gone: list[Row] = []
        if not upload.appends:
            modules = set(receivers)
            if upload.replace_scope == "year":
                modules |= self._calculators(upload).keys()
            keys = [(module, upload.type_id, SOURCES[upload.provider_type]) for module in modules]
            newest = max(self.heads.get(key, 0) for key in keys)
            if newest > upload.fence:
                return replace(summary, outcome="superseded", superseded_by=newest)
            self.heads |= dict.fromkeys(keys, upload.job_id)
            older = [row for row in self.rows if (row.module, row.type_id, row.source) in keys]
            gone = [row for row in older if row.module in receivers or row.module not in spared]
        self.rows = [row for row in self.rows if row not in gone] + good
        affected = receivers | {row.module for row in gone}
        return replace(
            summary,
            processed=len(good),
            affected=tuple(sorted(affected)),
            sources=self._sources(upload, affected, len(gone), len(good)),
        )

    def _read_entries(self, upload: ModelJob) -> tuple[list[Row], set[int], EventSummary]:
        """Return the valid rows, the modules that invalid rows name, and what reading has shown."""
        good: list[Row] = []
        spared: set[int] = set()
        errors: list[tuple[int, str, str]] = []
        rows = list(filter(is_row, upload.rows))
        for number, row in enumerate(rows, start=1):
            try:
                module = self._module_of(upload, row)
                new = self._entry(upload, module, read_entry(upload.type_id, row))
                self._refuse_double_member(upload, new, good)
                good.append(new)
            except Bad as bad:
                errors.append((number, *bad.args))
                unit = row["unit_institutional_id"].strip()
                spared |= {
                    id_ for id_, module in self._calculators(upload).items() if module.unit == unit
                }
        return good, spared, result_of_reading(upload, rows, good, errors)

    def _unfit(self, upload: ModelJob) -> str | None:
        """Why a job does not fit the module that it names; None if it does."""
        module = next((module for module in self.modules if module.id == upload.module), None)
        if module is None:
            return "unknown_module"
        if module.year != upload.year:
            return "wrong_year"
        return None if module.module_type == MODULE_TYPES[upload.type_id] else "wrong_module_type"

    def _module_of(self, upload: ModelJob, row: Cells) -> Module:
        if upload.appends:
            return next(module for module in self.modules if module.id == upload.module)
        unit = row["unit_institutional_id"].strip()
        if not unit:
            raise Bad("unit_institutional_id", "required")
        if unit not in {module.unit for module in self.modules}:
            raise Bad("unit_institutional_id", "unknown_unit")
        for module in self._calculators(upload).values():
            if module.unit == unit:
                return module
        raise Bad("unit_institutional_id", "unit_without_report")

    def _calculators(self, upload: ModelJob) -> dict[int, Module]:
        """The modules of the job's type in the calculator reports of its year, by id."""
        wanted = (upload.year, "calculator", MODULE_TYPES[upload.type_id])
        return {
            module.id: module
            for module in self.modules
            if (module.year, module.kind, module.module_type) == wanted
        }

    def _entry(self, upload: ModelJob, module: Module, data: dict[str, Any]) -> Row:
        source = SOURCES[upload.provider_type]
        return Row(
            module.id, upload.type_id, source, data, upload.year, module.unit_id, upload.job_id
        )

    def _refuse_double_member(self, upload: ModelJob, new: Row, good: Sequence[Row]) -> None:
        staying = [row for row in self.rows if upload.appends or row.source != new.source]
        others = [
            row for row in (*staying, *good) if (row.module, row.type_id) == (new.module, MEMBER)
        ]
        users = {str(row.data["user_institutional_id"]).strip() for row in others}
        if new.type_id == MEMBER and new.data["user_institutional_id"] in users:
            raise Bad("user_institutional_id", "duplicate")

    def _sources(
        self, upload: ModelJob, affected: set[int], deleted: int, inserted: int
    ) -> dict[str | None, tuple[int, int, int]]:
        counts = Counter(
            row.source
            for row in self.rows
            if row.module in affected and row.type_id == upload.type_id
        )
        own = SOURCES[upload.provider_type]
        return {
            name_of_source(source): (deleted, inserted, count) if source == own else (0, 0, count)
            for source, count in counts.items()
        }

    def _take_factors(self, upload: ModelJob) -> EventSummary:
        good, spared, summary = self._read_factors(upload)
        if summary.outcome == "rejected":
            return summary
        scope = (upload.type_id, upload.year)
        if self.factor_heads.get(scope, 0) > upload.fence:
            return replace(summary, outcome="superseded", superseded_by=self.factor_heads[scope])
        self.factor_heads[scope] = upload.job_id
        old = [factor for factor in self.factors if (factor.type_id, factor.year) == scope]
        kept = [factor for factor in old if factor.identity in spared - good.keys()]
        updated = good.keys() & {factor.identity for factor in old}
        self.factors = (
            [factor for factor in self.factors if factor not in old] + kept + list(good.values())
        )
        counts = {
            "inserted": len(good) - len(updated),
            "updated": len(updated),
            "deleted": len(old) - len(kept) - len(updated),
            "remaining": len(kept) + len(good),
        }
        return replace(summary, processed=len(good), factors=counts)

    def _read_factors(
        self, upload: ModelJob
    ) -> tuple[dict[Identity, Factor], set[Identity], EventSummary]:
        """Return the valid rows by identity, all identities named, and what reading has shown."""
        good: dict[Identity, Factor] = {}
        spared: set[Identity] = set()
        errors: list[tuple[int, str, str]] = []
        rows = list(filter(is_row, upload.rows))
        for number, row in enumerate(rows, start=1):
            try:
                new = Factor(upload.type_id, upload.year, read_identity(row), {}, upload.job_id)
                spared.add(new.identity)
                new.values.update(read_values(row))
                add_once(good, new)
            except Bad as bad:
                errors.append((number, *bad.args))
        return good, spared, result_of_reading(upload, rows, list(good), errors)


def add_once(good: dict[Identity, Factor], new: Factor) -> None:
    if new.identity in good:
        raise Bad("headcount_category", "duplicate")
    good[new.identity] = new


def result_of_reading(
    upload: ModelJob,
    rows: Sequence[Any],
    good: Sequence[Any],
    errors: Sequence[tuple[int, str, str]],
) -> EventSummary:
    """What reading an upload has shown; with outcome "rejected" the job ends there."""
    reason = None
    if not rows:
        reason = "no_rows"
    elif not good:
        reason = "no_valid_row"
    elif errors and upload.on_row_error == "reject":
        reason = "invalid_row"
    outcome = "partial" if errors else "succeeded"
    if reason:
        outcome = "rejected"
    return EventSummary(outcome, reason, len(rows), errors=tuple(errors))
