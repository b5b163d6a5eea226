"""Writes upload messages as the application would: job ids in order, files in the storage root."""

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
class OutgoingJob:
    """One upload, ready to be sent; `content` describes in words what it carries."""

    provider_type: ProviderType
    job_id: int
    value: bytes
    content: str

    @property
    def key(self) -> str:
        """The partition key: the scope in words."""
        return parse_job(self.provider_type, self.value).key


class Author:
    """Writes messages about the other purchases of the year.

    `storage` is the directory for files; `job_ids` were drawn from the database sequence.
    """

    def __init__(self, storage: Path, job_ids: Iterable[int]) -> None:
        self._storage = storage
        self._job_ids = iter(job_ids)

    def reserve_job_id(self) -> int:
        """Take the job id of an upload that is accepted now; its message is written later."""
        return next(self._job_ids)

    def message_with_file(
        self, provider_type: ProviderType, name: str, rows: Sequence[files.Row], **fields: Any
    ) -> OutgoingJob:
        """Write the rows to a file; return a message with the file's URL, size and checksum.

        `fields` are further fields of the message, such as `carbon_report_module_id`.
        """
        data = files.as_csv(rows)
        path = self._storage / name
        path.write_bytes(data)

        claim = {"url": path.as_uri(), "size": len(data), "sha256": sha256(data).hexdigest()}
        content = f"{name}, {len(rows):,} rows, {len(data) / 1000:,.0f} kB"
        return self._message(provider_type, content, file=claim, **fields)

    def message_with_rows(
        self, provider_type: ProviderType, rows: Sequence[files.Row], **fields: Any
    ) -> OutgoingJob:
        """Return a message that carries the rows itself."""
        content = f"{len(rows):,} rows in the message"
        json_rows = [files.as_json(row) for row in rows]
        return self._message(provider_type, content, rows=json_rows, **fields)

    def _message(
        self,
        provider_type: ProviderType,
        content: str,
        *,
        job_id: int | None = None,
        **fields: Any,
    ) -> OutgoingJob:
        if job_id is None:
            job_id = self.reserve_job_id()
        common_fields = {
            "job_id": job_id,
            "year": YEAR,
            "data_entry_type": TYPE.name,
            "submitted_by": USER_ID,
        }
        return OutgoingJob(provider_type, job_id, orjson.dumps(common_fields | fields), content)
