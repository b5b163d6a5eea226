"""What the database holds at one moment, slice by slice: how many rows, and a checksum of all that they say."""

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
    SELECT 'data_entries', report.kind, report.year, entry.data_entry_type_id, entry.carbon_report_module_id,
        entry.source, count(*), md5(string_agg(CAST(entry AS text), chr(10) ORDER BY entry.id))
    FROM data_entries AS entry
    LEFT JOIN carbon_report_modules AS module ON module.id = entry.carbon_report_module_id
    LEFT JOIN carbon_reports AS report ON report.id = module.carbon_report_id
    GROUP BY 1, 2, 3, 4, 5, 6
    UNION ALL
    SELECT 'factors', NULL, year, data_entry_type_id, NULL, NULL,
        count(*), md5(string_agg(CAST(factor AS text), chr(10) ORDER BY id))
    FROM factors AS factor GROUP BY year, data_entry_type_id
    UNION ALL
    SELECT 'units', NULL, NULL, NULL, NULL, NULL, count(*), md5(string_agg(CAST(unit AS text), chr(10) ORDER BY id))
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
    """Rows that belong together: a module's entries of one type and source, the factors of a type and year, a table."""

    table: str
    kind: str | None = None
    year: int | None = None
    type_id: int | None = None
    module_id: int | None = None
    source: int | None = None

    @property
    def is_in_play(self) -> bool:
        """Whether the story's uploads are about these entries, or about those of another source beside them."""
        return self.table == "data_entries" and (self.kind, self.year, self.type_id) == (
            "calculator",
            YEAR,
            TYPE.id,
        )

    @property
    def foreign(self) -> str | None:
        """Why no upload of the story may touch these rows; None where one may."""
        if self.is_in_play:
            return _UNTOUCHABLE.get(self.source)
        if self.table == "factors":
            return (
                None
                if (self.year, self.type_id) == (YEAR, TYPE.id)
                else "factors of other types and years"
            )
        if self.table != "data_entries":
            return "units, their reports and modules"
        if self.kind != "calculator":
            return "entries of simulators' reports"
        return f"entries of {self.year}" if self.year != YEAR else f"entries of other types, {YEAR}"


_UNTOUCHABLE: Mapping[int | None, str] = {
    DataEntrySource.USER_MANUAL: "typed in by hand (USER_MANUAL)",
    None: "of unknown origin (NULL)",
}


@dataclass(frozen=True, slots=True)
class Content:
    """How many rows, and a checksum of them: ids, times and all."""

    rows: int
    checksum: str

    @classmethod
    def of(cls, parts: Iterable[tuple[Slice, "Content"]]) -> "Content":
        """Several slices as one."""
        ordered = sorted(
            (repr(slice_), content.checksum, content.rows) for slice_, content in parts
        )
        return cls(sum(rows for *_, rows in ordered), sha256(repr(ordered).encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that the story compares, as one statement saw it, and the ids of the factors in play."""

    slices: Mapping[Slice, Content]
    factor_ids: Mapping[str, int]

    @classmethod
    async def take(cls, engine: AsyncEngine) -> "Snapshot":
        """Count and sum up all rows."""
        async with engine.connect() as conn:
            slices = {
                Slice(*key): Content(rows, sums) for *key, rows, sums in await conn.execute(_SLICES)
            }
            ids = await conn.execute(_FACTOR_IDS, {"type_id": TYPE.id, "year": YEAR})
            return cls(slices, {row.classification: row.id for row in ids})

    def counts(self, modules: Iterable[int] | None = None) -> dict[str | None, int]:
        """The entries in play by source; in these modules, or in all."""
        within = None if modules is None else set(modules)
        found: dict[str | None, int] = {source_name(source): 0 for source in SOURCES}
        for slice_, content in self.slices.items():
            if slice_.is_in_play and (within is None or slice_.module_id in within):
                found[source_name(slice_.source)] += content.rows
        return found

    def changed(self, other: "Snapshot") -> set[Slice]:
        """The slices that another snapshot has otherwise, or only one of the two has."""
        return {
            one
            for one in self.slices.keys() | other.slices.keys()
            if self.slices.get(one) != other.slices.get(one)
        }

    def foreign(self) -> dict[str, Content]:
        """What no upload of the story may touch, by why not."""
        groups: dict[str, list[tuple[Slice, Content]]] = {}
        for slice_, content in self.slices.items():
            if slice_.foreign is not None:
                groups.setdefault(slice_.foreign, []).append((slice_, content))
        return {name: Content.of(parts) for name, parts in sorted(groups.items())}
