"""Uploads for the fault tests, of every provider type and over many scopes.

The name of every row says which job wrote it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from service.domain.catalogue import entry_type
from service.domain.provider_types import DataEntrySource, ProviderType
from tests.support.jobs import Jobs, bad_purchase, purchase
from tests.support.university import UNITS, Scope, University

ENTRIES = tuple(one for one in ProviderType if one.source is not None)
"""The provider types that write entries."""

REPLACING = tuple(one for one in ENTRIES if not one.is_unit_specific)

TYPES = (60, 61, 62, 63, 64, 65)
"""Six types of purchases: with three units and three replacing provider types, 54 scopes."""


@dataclass(frozen=True, slots=True)
class SentUpload:
    """A message as it was produced, and the rows that its job must leave in the table."""

    job_id: int
    provider_type: ProviderType
    type_id: int
    message: bytes
    names: Mapping[int, Sequence[str]]
    """The names of its good rows, by module."""

    @property
    def source(self) -> DataEntrySource:
        return self.provider_type.source

    @property
    def replaces(self) -> bool:
        return not self.provider_type.is_unit_specific

    @property
    def scopes(self) -> dict[Scope, Sequence[str]]:
        """The names of its rows, by module, type and source."""
        return {
            (module, self.type_id, self.source.value): names for module, names in self.names.items()
        }


class Load:
    """Draws random uploads, the same ones for the same seed; a later one has a higher job id."""

    def __init__(self, university: University, jobs: Jobs, seed: int) -> None:
        self.random = Random(seed)
        self._university = university
        self._jobs = jobs
        self._last_id = 0

    def upload(
        self,
        provider_type: ProviderType | None = None,
        *,
        type_id: int | None = None,
        units: Sequence[str] | None = None,
        rows: int | None = None,
        job_id: int | None = None,
    ) -> SentUpload:
        """One upload; arguments that are not given are drawn. One upload in five has a bad row."""
        draw = self.random
        provider_type = provider_type or draw.choice(ENTRIES)
        type_id = type_id or draw.choice(TYPES)
        units = units or draw.sample(UNITS, draw.randint(1, len(UNITS)))
        if provider_type.is_unit_specific:
            units = units[:1]
        rows = rows or draw.randint(len(units), 30)
        self._last_id = job_id or self._last_id + 1
        return self._write(self._last_id, provider_type, type_id, units, rows)

    def uploads(self, count: int, provider_type: ProviderType | None = None) -> list[SentUpload]:
        """Several uploads, in the order of their job ids."""
        return [self.upload(provider_type) for _ in range(count)]

    def conflicting(self, upload: SentUpload) -> bytes:
        """A message with other content and the job id of an upload."""
        unit = self.random.choice(UNITS)
        other = self._write(
            upload.job_id, upload.provider_type, upload.type_id, [unit], 31, mark="conflict"
        )
        return other.message

    def deliveries(
        self, uploads: Sequence[SentUpload], *, duplicates: float
    ) -> Iterator[tuple[SentUpload, bytes]]:
        """Yield each upload, and a share of them twice, with record keys.

        The order is only roughly that of the job ids.
        """
        draw = self.random
        again = draw.sample(uploads, round(duplicates * len(uploads)))
        placed = [(place + draw.uniform(0, 20), upload) for place, upload in enumerate(uploads)]
        placed += [(draw.uniform(0, len(uploads)), upload) for upload in again]
        for _, upload in sorted(placed, key=lambda place_and_upload: place_and_upload[0]):
            yield upload, draw.randbytes(4)

    def _write(
        self,
        job_id: int,
        provider_type: ProviderType,
        type_id: int,
        units: Sequence[str],
        rows: int,
        *,
        mark: str = "row",
    ) -> SentUpload:
        appends = provider_type.is_unit_specific
        modules = {unit: self._university.module(unit, type_id) for unit in units}
        names: dict[int, list[str]] = defaultdict(list)
        content = []
        for number in range(rows):
            unit, name = units[number % len(units)], f"{mark} {number} of {job_id}"
            content.append(purchase(None if appends else unit, name))
            names[modules[unit]].append(name)
        if self.random.random() < 0.2:
            content.append(bad_purchase(None if appends else units[0]))
        fields = {"job_id": job_id, "data_entry_type": entry_type(type_id).name}
        module = {"carbon_report_module_id": modules[units[0]]} if appends else {}
        message = self._jobs.message(provider_type, content, **fields, **module)
        return SentUpload(job_id, provider_type, type_id, message, dict(names))
