"""The content of the database at one moment: row counts and checksums, slice by slice."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.demo.university import TYPE, YEAR
from service.domain.provider_types import DataEntrySource, source_name

SOURCES: tuple[DataEntrySource | None, ...] = (*DataEntrySource, None)

_SLICES = text("""
    SELECT 'data_entries', report.kind, report.year,
        entry.data_entry_type_id, entry.carbon_report_module_id, entry.source,
        count(*), md5(string_agg(CAST(entry AS text), chr(10) ORDER BY entry.id))
    FROM data_entries AS entry
    LEFT JOIN carbon_report_modules AS module ON module.id = entry.carbon_report_module_id
    LEFT JOIN carbon_reports AS report ON report.id = module.carbon_report_id
    GROUP BY 1, 2, 3, 4, 5, 6
    UNION ALL
    SELECT 'factors', NULL, year, data_entry_type_id, NULL, NULL,
        count(*), md5(string_agg(CAST(factor AS text), chr(10) ORDER BY id))
    FROM factors AS factor GROUP BY year, data_entry_type_id
    UNION ALL
    SELECT 'units', NULL, NULL, NULL, NULL, NULL,
        count(*), md5(string_agg(CAST(unit AS text), chr(10) ORDER BY id))
    FROM units AS unit
    UNION ALL
    SELECT 'carbon_reports', NULL, NULL, NULL, NULL, NULL,
        count(*), md5(string_agg(CAST(report AS text), chr(10) ORDER BY id))
    FROM carbon_reports AS report
    UNION ALL
    SELECT 'carbon_report_modules', NULL, NULL, NULL, NULL, NULL,
        count(*), md5(string_agg(CAST(module AS text), chr(10) ORDER BY id))
    FROM carbon_report_modules AS module
""")
_FACTOR_IDS = text("""
    SELECT CAST(classification AS text) AS classification, id FROM factors
    WHERE data_entry_type_id = :type_id AND year = :year
""")


class Slice(NamedTuple):
    """A group of rows that is counted together.

    In `data_entries`: the entries of one module, type and source. In `factors`: the factors of one
    type and year. Of every other table: all rows.
    """

    table: str
    kind: str | None = None
    year: int | None = None
    type_id: int | None = None
    module_id: int | None = None
    source: int | None = None

    @property
    def is_in_play(self) -> bool:
        """Return True for calculator entries of the story's type and year, of any source."""
        in_play = ("calculator", YEAR, TYPE.id)
        return self.table == "data_entries" and (self.kind, self.year, self.type_id) == in_play

    @property
    def foreign(self) -> str | None:
        """Say why no upload of the story may touch these rows; None if one may."""
        if self.is_in_play:
            return _UNTOUCHABLE.get(self.source)
        if self.table == "factors":
            in_play = (self.year, self.type_id) == (YEAR, TYPE.id)
            return None if in_play else "factors of other types and years"
        if self.table != "data_entries":
            return "units, their reports and modules"
        if self.kind != "calculator":
            return "entries of simulators' reports"
        if self.year != YEAR:
            return f"entries of {self.year}"
        return f"entries of other types, {YEAR}"


_UNTOUCHABLE: Mapping[int | None, str] = {
    DataEntrySource.USER_MANUAL: "typed in by hand (USER_MANUAL)",
    None: "of unknown origin (NULL)",
}


@dataclass(frozen=True, slots=True)
class SliceContent:
    """How many rows, and a checksum of all their columns, ids and times included."""

    rows: int
    checksum: str

    @classmethod
    def of(cls, parts: Iterable[tuple[Slice, "SliceContent"]]) -> "SliceContent":
        """Add several slices up; the result does not depend on their order."""
        ordered = sorted(
            (repr(slice_), content.checksum, content.rows) for slice_, content in parts
        )
        rows = sum(rows for *_, rows in ordered)
        return cls(rows, sha256(repr(ordered).encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that the story compares, and the ids of the story's factors.

    One statement reads all slices, so that they are of the same moment.
    """

    slices: Mapping[Slice, SliceContent]
    factor_ids: Mapping[str, int]

    @classmethod
    async def take(cls, engine: AsyncEngine) -> "Snapshot":
        """Read the counts and checksums of all rows."""
        async with engine.connect() as conn:
            slices = {
                Slice(*key): SliceContent(rows, checksum)
                for *key, rows, checksum in await conn.execute(_SLICES)
            }
            ids = await conn.execute(_FACTOR_IDS, {"type_id": TYPE.id, "year": YEAR})
            return cls(slices, {row.classification: row.id for row in ids})

    def counts(self, modules: Iterable[int] | None = None) -> dict[str | None, int]:
        """Count the story's entries by source, in the given modules or in all."""
        module_ids = None if modules is None else set(modules)
        counts: dict[str | None, int] = {source_name(source): 0 for source in SOURCES}
        for slice_, content in self.slices.items():
            if slice_.is_in_play and (module_ids is None or slice_.module_id in module_ids):
                counts[source_name(slice_.source)] += content.rows
        return counts

    def changed(self, other: "Snapshot") -> set[Slice]:
        """Return the slices that differ between the two snapshots, or are in only one of them."""
        return {
            slice_
            for slice_ in self.slices.keys() | other.slices.keys()
            if self.slices.get(slice_) != other.slices.get(slice_)
        }

    def foreign(self) -> dict[str, SliceContent]:
        """Return the content that no upload of the story may touch, by the reason."""
        groups: dict[str, list[tuple[Slice, SliceContent]]] = {}
        for slice_, content in self.slices.items():
            if slice_.foreign is not None:
                groups.setdefault(slice_.foreign, []).append((slice_, content))
        return {name: SliceContent.of(parts) for name, parts in sorted(groups.items())}
