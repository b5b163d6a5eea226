"""The table of provider types: who uploads, and how.

A new provider type needs an entry in `ProviderType` and a handler for its topic.
"""

from enum import Enum, IntEnum, StrEnum
from typing import Self


class DataEntrySource(IntEnum):
    """Where a row came from; every row carries this tag.

    The numbers are stored in the table, so an existing number must never get another meaning.
    """

    USER_MANUAL = 0
    CSV_MODULE_PER_YEAR = 1
    CSV_MODULE_UNIT_SPECIFIC = 2
    API_MODULE_PER_YEAR = 3
    API_MODULE_UNIT_SPECIFIC = 4
    EXTERNAL_INTEGRATION = 5


def source_name(source: int | None) -> str | None:
    """The name of a source in events and output.

    A number that is not in `DataEntrySource` is returned as text; None (unknown origin) stays None.
    """
    if source is None:
        return None
    if source not in set(DataEntrySource):
        return str(source)
    return DataEntrySource(source).name


class WriteMode(Enum):
    """What a job does to the older rows of its own source: replace them, or append to them."""

    REPLACE = "replace"
    APPEND = "append"


class ModuleNamedBy(Enum):
    """What names the module that a row belongs to."""

    ROW = "row"
    """Each row names its unit; the row belongs to the unit's module of the job's year."""

    MESSAGE = "message"
    """The message names one module for all rows."""

    NOBODY = "nobody"
    """The rows are reference data and belong to no module."""


class Content(Enum):
    """Where a job's rows may be: in a file only, or in a file or the message itself."""

    FILE = "file"
    FILE_OR_ROWS = "file or rows"


class ProviderType(StrEnum):
    """Who uploads, and how. Each provider type has a Kafka topic of its own, named after it.

    `source` is the tag of the rows; it is None for factors, which are reference data. `meaning` is
    the description in the JSON Schema of the message.
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
        # An enum member that is also a str needs its text here and in `_value_`.
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
        """Return True if the message names one module; rows then name no unit."""
        return self.module_named_by is ModuleNamedBy.MESSAGE

    @property
    def uploads_factors(self) -> bool:
        """Return True if the rows are factors instead of data entries."""
        return self.source is None

    @property
    def has_replace_scope(self) -> bool:
        """Return True if a job may choose its `replace_scope`."""
        return self.module_named_by is ModuleNamedBy.ROW

    @property
    def may_carry_rows(self) -> bool:
        """Return True if the rows may be in the message itself."""
        return self.content is Content.FILE_OR_ROWS
