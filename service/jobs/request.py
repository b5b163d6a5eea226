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
from service.domain.texts import TextValue

RequestPart = Literal["file", "module", "replace_scope"]
"""The parts of a request that a `BadRequest` can name."""


class BadRequest(UploadError):
    """The parts of the request contradict each other, or its file cannot be used.

    `part` names the part that is wrong, so that a command can name the option.
    """

    code = "bad_request"

    def __init__(self, part: RequestPart, case: str, /, **values: TextValue) -> None:
        self.part = part
        super().__init__(case, **values)


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """A job without its id and its content.

    `fields` are the message's other fields, only those that the user has given.
    """

    path: Path
    provider_type: ProviderType
    catalogue_type: CatalogueType
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
        """Make a request and check that its parts fit together.

        `type_` is the name or number of a catalogue type. Without a `provider`, the request is for
        a CSV file: of one unit if a `module` is given, else of the whole year. Fields that are
        None are left out. Raises `BadRequest` and `UnknownType`.
        """
        if provider is not None:
            provider_type = provider
        elif module is None:
            provider_type = ProviderType.CSV_MODULE_PER_YEAR
        else:
            provider_type = ProviderType.CSV_MODULE_UNIT_SPECIFIC

        find_type = factor_type if provider_type.uploads_factors else entry_type
        given = {name: value for name, value in fields.items() if value is not None}
        if module is not None:
            given["carbon_report_module_id"] = module

        request = cls(path, provider_type, find_type(type_), year, given)
        request._check()
        return request

    @property
    def has_rows(self) -> bool:
        """True if the rows of the file travel inside the message."""
        return self.path.suffix.lower() == ".json"

    def message(self, job_id: int, content: Mapping[str, Any]) -> bytes:
        """The job's message as JSON; `content` has the field `file` or the field `rows`.

        Raises `BadRequest` if the message is larger than 1 MiB.
        """
        fields = {
            "job_id": job_id,
            "year": self.year,
            "data_entry_type": self.catalogue_type.name,
            **self.fields,
            "submitted_at": datetime.now(UTC),
            **content,
        }
        value = orjson.dumps(fields)
        if len(value) > MAX_MESSAGE_BYTES:
            raise BadRequest("file", "too_large")
        return value

    def job(self, value: bytes) -> Job:
        """The job that a worker will read from that message."""
        return parse_job(self.provider_type, value)

    def rows(self) -> dict[str, Any]:
        """The content of a job whose rows are in a JSON file: `{"rows": [...]}`.

        Raises `BadRequest` if the file is too large, is not JSON or is no list of objects.
        """
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
