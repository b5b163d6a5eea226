"""The wire, inbound: one message class per kind of upload, and the one way from bytes to a `Job`."""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    create_model,
    model_validator,
)

from service.domain.catalogue import entry_type, factor_type
from service.domain.errors import NotJson, Poison, SchemaViolation, Tombstone, TooLarge
from service.domain.model import MAX_JOB_ID, FileRef, Job, OnRowError, ReplaceScope
from service.domain.provider_types import ProviderType

MAX_MESSAGE_BYTES = 2**20
"""The largest job message, inline rows included; more belongs in a file."""

JobId = Annotated[int, Field(strict=True, ge=1, le=MAX_JOB_ID, examples=[8123])]
Id = Annotated[int, Field(strict=True, ge=1, le=2**63 - 1)]


class FileClaim(BaseModel):
    """Where the file lies, and the size and sha256 of its bytes as stored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    url: Annotated[
        str, Field(min_length=1, max_length=4096, examples=["s3://uploads/2025/purchases.csv"])
    ]
    size: Annotated[int, Field(strict=True, ge=0, description="Bytes as stored.")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True)]
    content_encoding: Literal["gzip", "zstd"] | None = None
    expires_at: AwareDatetime | None = Field(
        None, description="After this moment the file may be gone."
    )

    def to_domain(self) -> FileRef:
        return FileRef(self.url, self.size, self.sha256, self.content_encoding, self.expires_at)


class UploadJob(BaseModel):
    """What every job message says. Unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: Literal[1] = 1
    job_id: JobId = Field(
        description="Drawn from the sequence `upload_job_id_seq` when the upload is accepted."
    )
    year: Annotated[int, Field(strict=True, ge=1900, le=2200, examples=[2025])]
    data_entry_type: Annotated[int, Field(strict=True)] | str = Field(
        description="The type's name or number.", examples=["other_purchases", 66]
    )
    on_row_error: OnRowError = Field(
        OnRowError.SKIP,
        description="`skip` invalid rows, or `reject` the whole job for one of them.",
    )
    based_on: JobId | None = Field(
        None, description="Apply only if no job above this one has replaced any of the same scope."
    )
    submitted_by: Id | None = Field(None, description="The user's id.")
    submitted_at: datetime | None = None

    def to_domain(self, provider_type: ProviderType) -> Job:
        """The job that this message asks for. Raises `UnknownType`."""
        find = factor_type if provider_type.uploads_factors else entry_type
        type_id = find(self.data_entry_type).id
        return Job(
            job_id=self.job_id,
            provider_type=provider_type,
            year=self.year,
            data_entry_type_id=type_id,
            fingerprint=self._fingerprint(provider_type, type_id),
            on_row_error=self.on_row_error,
            based_on=self.based_on,
            submitted_by=self.submitted_by,
            **self._particulars(),
        )

    def _particulars(self) -> dict[str, Any]:
        """The `Job` fields that only some kinds of message have."""
        return {}

    def _fingerprint(self, provider_type: ProviderType, type_id: int) -> str:
        """What makes two messages the same upload: all that they ask for, however it was written."""
        asked = self.model_dump(mode="json", exclude={"submitted_at"})
        canonical = asked | {"data_entry_type": type_id, "provider_type": provider_type.value}
        return sha256(orjson.dumps(canonical, option=orjson.OPT_SORT_KEYS)).hexdigest()


class _File(UploadJob):
    file: FileClaim

    def _particulars(self) -> dict[str, Any]:
        return super()._particulars() | {"file": self.file.to_domain()}


class _RowsOrFile(UploadJob):
    rows: list[dict[str, Any]] | None = Field(
        None,
        description="Objects with the type's columns; values as text or JSON numbers, null is absent.",
    )
    file: FileClaim | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.rows is None) == (self.file is None):
            raise ValueError("give exactly one of `rows` and `file`")
        return self

    def _particulars(self) -> dict[str, Any]:
        content = {
            "rows": None if self.rows is None else tuple(self.rows),
            "file": self.file and self.file.to_domain(),
        }
        return super()._particulars() | content


class _PerYear(UploadJob):
    replace_scope: ReplaceScope = Field(
        ReplaceScope.AFFECTED,
        description="`affected` replaces in the units that have a valid row; `year` empties the others too.",
    )

    def _particulars(self) -> dict[str, Any]:
        return super()._particulars() | {"replace_scope": self.replace_scope}


class _UnitSpecific(UploadJob):
    carbon_report_module_id: Id = Field(description="The module that receives the rows.")

    def _particulars(self) -> dict[str, Any]:
        return super()._particulars() | {"carbon_report_module_id": self.carbon_report_module_id}


def _message_model(provider_type: ProviderType) -> type[UploadJob]:
    """The message that the topic of a provider type carries, by what the table says of it."""
    bases: list[type[UploadJob]] = [_RowsOrFile if provider_type.may_carry_rows else _File]
    if provider_type.has_replace_scope:
        bases.append(_PerYear)
    if provider_type.is_unit_specific:
        bases.append(_UnitSpecific)
    name = "".join(part.capitalize() for part in provider_type.split("-")) + "Job"
    return create_model(name, __base__=tuple(bases), __doc__=provider_type.meaning)


MESSAGES: Mapping[ProviderType, type[UploadJob]] = {
    provider_type: _message_model(provider_type) for provider_type in ProviderType
}
"""The message that each topic carries."""


def parse_job(provider_type: ProviderType, value: bytes | None) -> Job:
    """The job in a record's value.

    Raises `Tombstone`, `TooLarge`, `NotJson`, `SchemaViolation` (naming each field and what was expected, but no
    value) or `UnknownType`.
    """
    if value is None:
        raise Tombstone
    if len(value) > MAX_MESSAGE_BYTES:
        raise TooLarge("message", size=len(value), most=MAX_MESSAGE_BYTES)
    try:
        message = MESSAGES[provider_type].model_validate(_loads(value))
    except ValidationError as error:
        raise SchemaViolation("fields", problems=_problems_of(error)) from None
    return message.to_domain(provider_type)


def _loads(value: bytes) -> dict[str, Any]:
    try:
        loaded = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise NotJson("breaks", line=error.lineno, column=error.colno) from None
    if not isinstance(loaded, dict):
        raise SchemaViolation("not_an_object", found=type(loaded).__name__)
    return loaded


def _problems_of(error: ValidationError) -> list[str]:
    """Each field that is wrong and what was expected, without the value that was found."""
    return [
        f"{'.'.join(map(str, problem['loc'])) or 'message'}: {problem['msg']}"
        for problem in error.errors()
    ]


def job_id_of(value: bytes | None) -> int | None:
    """The job id in a message that is otherwise wrong, so that whoever waits for it can be told; None without one."""
    try:
        job_id = _loads(value or b"").get("job_id")
    except Poison:
        return None
    is_id = isinstance(job_id, int) and not isinstance(job_id, bool) and 1 <= job_id <= MAX_JOB_ID
    return job_id if is_id else None
