"""Job messages: one class for each provider type, and `parse_job`, which makes a `Job` of one.

Nothing else reads the value of a job message, so all checks of a message are here.
"""

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
from service.domain.model import MAX_JOB_ID, ClaimCheck, Job, OnRowError, ReplaceScope
from service.domain.provider_types import ProviderType

MAX_MESSAGE_BYTES = 2**20
"""The largest job message, with its inline rows. Larger uploads must be sent as a file."""

JobId = Annotated[int, Field(strict=True, ge=1, le=MAX_JOB_ID, examples=[8123])]
DatabaseId = Annotated[int, Field(strict=True, ge=1, le=2**63 - 1)]
"""An id of the application's tables, as a PostgreSQL `bigint` can hold it."""


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

    def to_domain(self) -> ClaimCheck:
        """The same claim check as a domain type."""
        return ClaimCheck(self.url, self.size, self.sha256, self.content_encoding, self.expires_at)


class UploadJob(BaseModel):
    """The fields of every job message. Unknown fields are ignored."""

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
        None,
        description=(
            "Change nothing if a job with an id above this one has already replaced rows of the "
            "same scope; the job then ends `superseded`."
        ),
    )
    submitted_by: DatabaseId | None = Field(None, description="The user's id.")
    submitted_at: datetime | None = None

    def to_domain(self, provider_type: ProviderType) -> Job:
        """The job that this message asks for. Raises `UnknownType`."""
        if provider_type.uploads_factors:
            type_id = factor_type(self.data_entry_type).id
        else:
            type_id = entry_type(self.data_entry_type).id

        return Job(
            job_id=self.job_id,
            provider_type=provider_type,
            year=self.year,
            data_entry_type_id=type_id,
            fingerprint=self._fingerprint(provider_type, type_id),
            on_row_error=self.on_row_error,
            based_on=self.based_on,
            submitted_by=self.submitted_by,
            **self._specific_fields(),
        )

    def _specific_fields(self) -> dict[str, Any]:
        """The fields of `Job` that only some messages have. Each subclass adds its own."""
        return {}

    def _fingerprint(self, provider_type: ProviderType, type_id: int) -> str:
        """A sha256 of everything that the message asks for.

        It does not depend on how the message is written: the order of its fields, the type's name
        or number, and defaults that are left out make no difference. Nor does `submitted_at`.
        """
        request = self.model_dump(mode="json", exclude={"submitted_at"})
        canonical = request | {"data_entry_type": type_id, "provider_type": provider_type.value}
        return sha256(orjson.dumps(canonical, option=orjson.OPT_SORT_KEYS)).hexdigest()


class _WithFile(UploadJob):
    file: FileClaim

    def _specific_fields(self) -> dict[str, Any]:
        return super()._specific_fields() | {"file": self.file.to_domain()}


class _WithRowsOrFile(UploadJob):
    rows: list[dict[str, Any]] | None = Field(
        None,
        description=(
            "Objects with the type's columns; values as text or JSON numbers, null is absent."
        ),
    )
    file: FileClaim | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.rows is None) == (self.file is None):
            raise ValueError("give exactly one of `rows` and `file`")
        return self

    def _specific_fields(self) -> dict[str, Any]:
        content = {
            "rows": None if self.rows is None else tuple(self.rows),
            "file": None if self.file is None else self.file.to_domain(),
        }
        return super()._specific_fields() | content


class _WithReplaceScope(UploadJob):
    replace_scope: ReplaceScope = Field(
        ReplaceScope.AFFECTED,
        description=(
            "`affected` replaces in the units that have a valid row; `year` empties the others too."
        ),
    )

    def _specific_fields(self) -> dict[str, Any]:
        return super()._specific_fields() | {"replace_scope": self.replace_scope}


class _WithModule(UploadJob):
    carbon_report_module_id: DatabaseId = Field(description="The module that receives the rows.")

    def _specific_fields(self) -> dict[str, Any]:
        module = {"carbon_report_module_id": self.carbon_report_module_id}
        return super()._specific_fields() | module


def _message_model(provider_type: ProviderType) -> type[UploadJob]:
    """Build the message class of a provider type from its entry in the table of provider types."""
    bases: list[type[UploadJob]] = []
    if provider_type.may_carry_rows:
        bases.append(_WithRowsOrFile)
    else:
        bases.append(_WithFile)
    if provider_type.has_replace_scope:
        bases.append(_WithReplaceScope)
    if provider_type.is_unit_specific:
        bases.append(_WithModule)

    # This name is the title of the message's JSON Schema: `CsvModulePerYearJob`.
    name = "".join(part.capitalize() for part in provider_type.split("-")) + "Job"
    return create_model(name, __base__=tuple(bases), __doc__=provider_type.meaning)


MESSAGES: Mapping[ProviderType, type[UploadJob]] = {
    provider_type: _message_model(provider_type) for provider_type in ProviderType
}
"""The message class of each provider type."""


def parse_job(provider_type: ProviderType, value: bytes | None) -> Job:
    """Make the job of a record's value.

    Raises `Tombstone`, `TooLarge`, `NotJson`, `UnknownType` or `SchemaViolation`. The last one
    names each wrong field and what was expected. It never quotes a value, because a message may
    hold personal data.
    """
    if value is None:
        raise Tombstone
    if len(value) > MAX_MESSAGE_BYTES:
        raise TooLarge("message", size=len(value), most=MAX_MESSAGE_BYTES)
    try:
        message = MESSAGES[provider_type].model_validate(_parse_object(value))
    except ValidationError as error:
        raise SchemaViolation("fields", problems=_problems_of(error)) from None
    return message.to_domain(provider_type)


def _parse_object(value: bytes) -> dict[str, Any]:
    try:
        loaded = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise NotJson("breaks", line=error.lineno, column=error.colno) from None
    if not isinstance(loaded, dict):
        raise SchemaViolation("not_an_object", found=type(loaded).__name__)
    return loaded


def _problems_of(error: ValidationError) -> list[str]:
    """Each wrong field and what was expected: `file.size: Input should be a valid integer`."""
    problems = []
    for problem in error.errors():
        field = ".".join(map(str, problem["loc"]))
        problems.append(f"{field or 'message'}: {problem['msg']}")
    return problems


def job_id_of(value: bytes | None) -> int | None:
    """The job id in a message that `parse_job` refuses; None if the message has no valid one.

    With this id the parked event reaches the program that waits for the job.
    """
    try:
        job_id = _parse_object(value or b"").get("job_id")
    except Poison:
        return None

    # In Python `True` is an integer too, but in JSON it is not.
    if not isinstance(job_id, int) or isinstance(job_id, bool):
        return None
    if not 1 <= job_id <= MAX_JOB_ID:
        return None
    return job_id
