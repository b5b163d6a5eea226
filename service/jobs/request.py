"""An upload as somebody asks for it, by command or over HTTP, and the message that it becomes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

import orjson

from service.contract.messages import MAX_MESSAGE_BYTES, parse_job
from service.domain.catalogue import CatalogueType, entry_type, factor_type
from service.domain.errors import UploadError
from service.domain.model import Job
from service.domain.provider_types import ProviderType
from service.domain.texts import Value

RequestPart = Literal["file", "module", "replace_scope"]


class BadRequest(UploadError):
    """The upload makes no sense as it is asked for; `part` says which part of the request is wrong."""

    code = "bad_request"

    def __init__(self, part: RequestPart, case: str, /, **values: Value) -> None:
        self.part = part
        super().__init__(case, **values)


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """A job without its id and its content. `fields` are those of its message that were given."""

    path: Path
    provider_type: ProviderType
    kind: CatalogueType
    year: int
    fields: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        path: Path,
        type_: str,
        year: int,
        provider: ProviderType | None,
        module: int | None,
        **fields: Any,
    ) -> Self:
        """The request, if its parts fit together. Raises `BadRequest`, or `UnknownType`."""
        by_default = (
            ProviderType.CSV_MODULE_PER_YEAR
            if module is None
            else ProviderType.CSV_MODULE_UNIT_SPECIFIC
        )
        provider_type = provider or by_default
        find = factor_type if provider_type.uploads_factors else entry_type
        given = {name: value for name, value in fields.items() if value is not None}
        if module is not None:
            given["carbon_report_module_id"] = module
        request = cls(path, provider_type, find(type_), year, given)
        request._check()
        return request

    @property
    def has_rows(self) -> bool:
        """Whether the file's rows travel inside the message."""
        return self.path.suffix.lower() == ".json"

    def message(self, job_id: int, content: Mapping[str, Any]) -> bytes:
        """The job's message; `content` has its `file` or its `rows`. Raises `BadRequest` above 1 MiB."""
        said = {
            "job_id": job_id,
            "year": self.year,
            "data_entry_type": self.kind.name,
            **self.fields,
        }
        value = orjson.dumps(said | {"submitted_at": datetime.now(UTC)} | dict(content))
        if len(value) > MAX_MESSAGE_BYTES:
            raise BadRequest("file", "too_large")
        return value

    def job(self, value: bytes) -> Job:
        """The job as a worker will read it from that message."""
        return parse_job(self.provider_type, value)

    def rows(self) -> dict[str, Any]:
        """The content of a job whose rows are in a JSON file. Raises `BadRequest`."""
        if self.path.stat().st_size > MAX_MESSAGE_BYTES:
            raise BadRequest("file", "too_large")
        try:
            rows = orjson.loads(self.path.read_bytes())
        except orjson.JSONDecodeError as error:
            raise BadRequest("file", "not_json", line=error.lineno, column=error.colno) from None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise BadRequest("file", "not_a_list")
        return {"rows": rows}

    def _check(self) -> None:
        provider_type = self.provider_type
        names_module = "carbon_report_module_id" in self.fields
        if provider_type.is_unit_specific and not names_module:
            raise BadRequest("module", "module_needed", provider_type=provider_type)
        if names_module and not provider_type.is_unit_specific:
            raise BadRequest("module", "no_module", provider_type=provider_type)
        if "replace_scope" in self.fields and not provider_type.has_replace_scope:
            raise BadRequest("replace_scope", "no_scope", provider_type=provider_type)
        if self.has_rows and not provider_type.may_carry_rows:
            raise BadRequest(
                "file",
                "no_inline_rows",
                provider_type=provider_type,
                provider_types=sorted(known for known in ProviderType if known.may_carry_rows),
            )
        if not self.path.is_file():
            raise BadRequest("file", "not_a_file")
