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
from service.domain.model import UNIT_SPECIFIC, Job, ProviderType

_CARRYING_ROWS = frozenset(
    {ProviderType.API_MODULE_PER_YEAR, ProviderType.API_MODULE_UNIT_SPECIFIC, ProviderType.EXTERNAL_INTEGRATION}
)


class BadRequest(UploadError):
    """The upload makes no sense as it is asked for; `part` says which part of the request is wrong."""

    code = "bad_request"

    def __init__(self, part: Literal["file", "module", "replace_scope"], message: str) -> None:
        self.part = part
        self._message = message
        super().__init__()

    @property
    def message(self) -> str:
        return self._message


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
        cls, path: Path, type_: str, year: int, provider: ProviderType | None, module: int | None, **fields: Any
    ) -> Self:
        """The request, if its parts fit together. Raises `BadRequest`, or `UnknownType`."""
        by_default = ProviderType.CSV_MODULE_PER_YEAR if module is None else ProviderType.CSV_MODULE_UNIT_SPECIFIC
        provider_type = provider or by_default
        find = factor_type if provider_type is ProviderType.FACTORS else entry_type
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
        said = {"job_id": job_id, "year": self.year, "data_entry_type": self.kind.name, **self.fields}
        value = orjson.dumps(said | {"submitted_at": datetime.now(UTC)} | dict(content))
        if len(value) > MAX_MESSAGE_BYTES:
            raise _too_large()
        return value

    def job(self, value: bytes) -> Job:
        """The job as a worker will read it from that message."""
        return parse_job(self.provider_type, value)

    def rows(self) -> dict[str, Any]:
        """The content of a job whose rows are in a JSON file. Raises `BadRequest`."""
        if self.path.stat().st_size > MAX_MESSAGE_BYTES:
            raise _too_large()
        try:
            rows = orjson.loads(self.path.read_bytes())
        except orjson.JSONDecodeError as error:
            raise _bad_file(f"It is not JSON: it breaks at line {error.lineno}, column {error.colno}.") from None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise _bad_file('Expected a list of objects, one for each row: [{"name": "…"}, …].')
        return {"rows": rows}

    def _check(self) -> None:
        provider_type = self.provider_type
        if (provider_type in UNIT_SPECIFIC) != ("carbon_report_module_id" in self.fields):
            what = "needs the module to append to" if provider_type in UNIT_SPECIFIC else "takes no module"
            raise BadRequest("module", f"{provider_type} {what}.")
        if "replace_scope" in self.fields and provider_type in UNIT_SPECIFIC | {ProviderType.FACTORS}:
            raise BadRequest("replace_scope", f"{provider_type} knows no scope to choose.")
        if self.has_rows and provider_type not in _CARRYING_ROWS:
            kinds = ", ".join(sorted(_CARRYING_ROWS))
            raise _bad_file(f"JSON rows go with --provider {kinds}; save the rows as CSV for {provider_type}.")
        if not self.path.is_file():
            raise _bad_file("Expected a regular file; save what the pipe gives to one first.")


def _bad_file(message: str) -> BadRequest:
    return BadRequest("file", message)


def _too_large() -> BadRequest:
    return _bad_file("The rows take more than 1 MiB, which is too much for a message; save them as CSV instead.")
