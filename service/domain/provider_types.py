"""The table of provider types: who uploads, and how. A new one is a line here and a handler for its topic."""

from enum import Enum, IntEnum, StrEnum
from typing import Self


class DataEntrySource(IntEnum):
    """The tag on every row: where it came from. The values are persisted: never renumber."""

    USER_MANUAL = 0
    CSV_MODULE_PER_YEAR = 1
    CSV_MODULE_UNIT_SPECIFIC = 2
    API_MODULE_PER_YEAR = 3
    API_MODULE_UNIT_SPECIFIC = 4
    EXTERNAL_INTEGRATION = 5


def source_name(source: int | None) -> str | None:
    """A source as events and people write it; the number itself where it is none of ours."""
    if source is None:
        return None
    if source not in set(DataEntrySource):
        return str(source)
    return DataEntrySource(source).name


class WriteMode(Enum):
    """What a job does to the rows that its own kind of upload put there before."""

    REPLACE = "replace"
    APPEND = "append"


class ModuleNamedBy(Enum):
    """How a row finds the module that it belongs to."""

    ROW = "row"
    """Each row names its unit; the module is the unit's own, of the job's year."""

    MESSAGE = "message"
    """The message names one module for all rows."""

    NOBODY = "nobody"
    """The rows are reference data and belong to no module."""


class Content(Enum):
    """How a job brings its rows."""

    FILE = "file"
    FILE_OR_ROWS = "file or rows"


class ProviderType(StrEnum):
    """Who uploads, and how; each has a Kafka topic of its own, named after it.

    `source` tags the rows; factors are reference data and have none. `meaning` describes the message in
    its JSON Schema.
    """

    source: DataEntrySource | None
    write_mode: WriteMode
    module_named_by: ModuleNamedBy
    content: Content
    meaning: str

    def __new__(
        cls,
        topic: str,
        source: DataEntrySource | None,
        write_mode: WriteMode,
        module_named_by: ModuleNamedBy,
        content: Content,
        meaning: str,
    ) -> Self:
        member = str.__new__(cls, topic)
        member._value_ = topic
        member.source = source
        member.write_mode = write_mode
        member.module_named_by = module_named_by
        member.content = content
        member.meaning = meaning
        return member

    CSV_MODULE_PER_YEAR = (
        "csv-module-per-year",
        DataEntrySource.CSV_MODULE_PER_YEAR,
        WriteMode.REPLACE,
        ModuleNamedBy.ROW,
        Content.FILE,
        "A CSV of the back office: every row names its unit; replaces what the last one put there.",
    )
    CSV_MODULE_UNIT_SPECIFIC = (
        "csv-module-unit-specific",
        DataEntrySource.CSV_MODULE_UNIT_SPECIFIC,
        WriteMode.APPEND,
        ModuleNamedBy.MESSAGE,
        Content.FILE,
        "A CSV of one unit: its rows are appended to one module.",
    )
    API_MODULE_PER_YEAR = (
        "api-module-per-year",
        DataEntrySource.API_MODULE_PER_YEAR,
        WriteMode.REPLACE,
        ModuleNamedBy.ROW,
        Content.FILE_OR_ROWS,
        "Rows of another program, for any units; replaces what the last such job put there.",
    )
    API_MODULE_UNIT_SPECIFIC = (
        "api-module-unit-specific",
        DataEntrySource.API_MODULE_UNIT_SPECIFIC,
        WriteMode.APPEND,
        ModuleNamedBy.MESSAGE,
        Content.FILE_OR_ROWS,
        "Rows of another program for one module; appended.",
    )
    EXTERNAL_INTEGRATION = (
        "external-integration",
        DataEntrySource.EXTERNAL_INTEGRATION,
        WriteMode.REPLACE,
        ModuleNamedBy.ROW,
        Content.FILE_OR_ROWS,
        "A synchronisation with another system; replaces what the last one put there.",
    )
    FACTORS = (
        "factors",
        None,
        WriteMode.REPLACE,
        ModuleNamedBy.NOBODY,
        Content.FILE,
        "The factors of one type and year, whole: those not in the file are dropped.",
    )

    @property
    def is_unit_specific(self) -> bool:
        """Whether the message names one module, and the rows of a file name no unit."""
        return self.module_named_by is ModuleNamedBy.MESSAGE

    @property
    def uploads_factors(self) -> bool:
        """Whether the rows are factors instead of data entries."""
        return self.source is None

    @property
    def has_replace_scope(self) -> bool:
        """Whether a job may choose how far it replaces."""
        return self.module_named_by is ModuleNamedBy.ROW

    @property
    def may_carry_rows(self) -> bool:
        """Whether the rows may stand in the message itself."""
        return self.content is Content.FILE_OR_ROWS
