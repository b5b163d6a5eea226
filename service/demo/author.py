"""Writes upload messages as an application would: ids in their order, files in the storage root."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from service.contract.messages import parse_job
from service.demo import files
from service.demo.university import TYPE, USER_ID, YEAR
from service.domain.provider_types import ProviderType


@dataclass(frozen=True, slots=True)
class Message:
    """One upload, ready to be sent; `content` says in words what it carries."""

    provider_type: ProviderType
    job_id: int
    value: bytes
    content: str

    @property
    def key(self) -> str:
        """The partition key: the scope in words."""
        return parse_job(self.provider_type, self.value).key


class Author:
    """Writes messages about the other purchases of the year; `job_ids` were drawn from the sequence."""

    def __init__(self, storage: Path, job_ids: Iterable[int]) -> None:
        self._storage = storage
        self._job_ids = iter(job_ids)

    def set_aside(self) -> int:
        """The id of an upload that is accepted now, and whose message is written later."""
        return next(self._job_ids)

    def file(
        self, kind: ProviderType, name: str, rows: Sequence[files.Row], **said: Any
    ) -> Message:
        """An upload whose rows are in a file; the message has its address, size and checksum."""
        data = files.as_csv(rows)
        path = self._storage / name
        path.write_bytes(data)
        claim = {"url": path.as_uri(), "size": len(data), "sha256": sha256(data).hexdigest()}
        content = f"{name}, {len(rows):,} rows, {len(data) / 1000:,.0f} kB"
        return self._message(kind, content, file=claim, **said)

    def rows(self, kind: ProviderType, rows: Sequence[files.Row], **said: Any) -> Message:
        """An upload whose rows are in the message itself."""
        return self._message(
            kind, f"{len(rows):,} rows in the message", rows=list(map(files.as_json, rows)), **said
        )

    def _message(
        self, kind: ProviderType, content: str, *, job_id: int | None = None, **said: Any
    ) -> Message:
        job_id = next(self._job_ids) if job_id is None else job_id
        what = {
            "job_id": job_id,
            "year": YEAR,
            "data_entry_type": TYPE.name,
            "submitted_by": USER_ID,
        }
        return Message(kind, job_id, orjson.dumps(what | said), content)
