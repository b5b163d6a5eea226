"""The types of the model: uploads, stored rows, and what events say."""

from dataclasses import dataclass, field
from typing import Any

from tests.support.model_rows import Cells

SOURCES = {
    "csv-module-per-year": 1,
    "csv-module-unit-specific": 2,
    "api-module-per-year": 3,
    "api-module-unit-specific": 4,
    "external-integration": 5,
}
APPENDING = ("csv-module-unit-specific", "api-module-unit-specific")
MODULE_TYPES = {1: 1, 2: 1, 66: 5}

Identity = frozenset[tuple[str, Any]]


@dataclass(frozen=True)
class ModelJob:
    """A job, with its rows as text."""

    provider_type: str
    job_id: int
    type_id: int
    rows: tuple[Cells, ...]
    year: int = 2025
    module: int | None = None
    replace_scope: str = "affected"
    on_row_error: str = "skip"
    based_on: int | None = None

    @property
    def appends(self) -> bool:
        return self.provider_type in APPENDING

    @property
    def fence(self) -> int:
        """The highest job id whose rows this job may replace."""
        return min(self.job_id - 1, self.job_id if self.based_on is None else self.based_on)


@dataclass(frozen=True)
class EventSummary:
    """What an event says, in short; sources are counted as deleted, inserted, remaining."""

    outcome: str
    reason: str | None = None
    total: int = 0
    processed: int = 0
    errors: tuple[tuple[int, str, str], ...] = ()
    affected: tuple[int, ...] = ()
    sources: dict[str | None, tuple[int, int, int]] = field(default_factory=dict)
    factors: dict[str, int] | None = None
    superseded_by: int | None = None


@dataclass(frozen=True)
class Module:
    id: int
    unit: str
    unit_id: int
    year: int
    kind: str
    module_type: int


@dataclass(frozen=True)
class Row:
    module: int
    type_id: int
    source: int | None
    data: dict[str, Any]
    year: int | None
    unit_id: int | None
    created_by_id: int | None


@dataclass(frozen=True)
class Factor:
    type_id: int
    year: int
    classification: dict[str, Any]
    values: dict[str, Any]
    job_id: int | None

    @property
    def identity(self) -> Identity:
        return frozenset(
            (name, value) for name, value in self.classification.items() if value is not None
        )


def name_of_source(source: int | None) -> str | None:
    """The name of a source in events; for a source of the application itself, its number."""
    if source is None:
        return None
    names = {number: name.replace("-", "_").upper() for name, number in SOURCES.items()}
    names[0] = "USER_MANUAL"
    return names.get(source, str(source))
