"""An upload as a person asks for it: the options that `submit` and `check` share, and the message they make."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Self

import orjson
import typer

from service.catalogue import Kind, entry_type, factor_type
from service.domain import UNIT_SPECIFIC, Job, OnRowError, ProviderType, ReplaceScope
from service.messages import MAX_MESSAGE_BYTES, parse

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True, help="A CSV file, or JSON rows.")
]
TypeOption = Annotated[
    str, typer.Option("--type", metavar="TYPE", help="The type's name or number; `uploads template` lists them.")
]
YearOption = Annotated[int, typer.Option(min=1900, max=2200, help="The year that the rows are of.")]
ProviderOption = Annotated[
    ProviderType | None,
    typer.Option(
        help="Who uploads, and how. Default: `csv-module-per-year`, and with `--module` `csv-module-unit-specific`."
    ),
]
ModuleOption = Annotated[
    int | None,
    typer.Option(metavar="ID", min=1, max=2**63 - 1, help="The carbon report module of a unit-specific upload."),
]
ReplaceScopeOption = Annotated[
    ReplaceScope | None,
    typer.Option(
        help="Replace in the units that the file has rows for (`affected`, the default), or in all of the `year`."
    ),
]
OnRowErrorOption = Annotated[
    OnRowError | None,
    typer.Option(help="What an invalid row does: it is skipped (the default), or the whole upload rejected."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

_CARRYING_ROWS = frozenset(
    {ProviderType.API_MODULE_PER_YEAR, ProviderType.API_MODULE_UNIT_SPECIFIC, ProviderType.EXTERNAL_INTEGRATION}
)


@dataclass(frozen=True, slots=True)
class Request:
    """A job without its id and its content. `fields` are those of its message that were given."""

    path: Path
    provider_type: ProviderType
    kind: Kind
    year: int
    fields: Mapping[str, Any]

    @classmethod
    def of(
        cls, path: Path, type_: str, year: int, provider: ProviderType | None, module: int | None, **fields: Any
    ) -> Self:
        """The request, if its parts fit together. Raises `typer.BadParameter`, or `UnknownType`."""
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
        """The job's message; `content` has its `file` or its `rows`. Raises `typer.BadParameter` above 1 MiB."""
        said = {"job_id": job_id, "year": self.year, "data_entry_type": self.kind.name, **self.fields}
        value = orjson.dumps(said | {"submitted_at": datetime.now(UTC)} | dict(content))
        if len(value) > MAX_MESSAGE_BYTES:
            raise _too_large()
        return value

    def job(self, value: bytes) -> Job:
        """The job as a worker will read it from that message."""
        return parse(self.provider_type, value)

    def rows(self) -> dict[str, Any]:
        """The content of a job whose rows are in a JSON file. Raises `typer.BadParameter`."""
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
            raise typer.BadParameter(f"{provider_type} {what}.", param_hint="--module")
        if "replace_scope" in self.fields and provider_type in UNIT_SPECIFIC | {ProviderType.FACTORS}:
            raise typer.BadParameter(f"{provider_type} knows no scope to choose.", param_hint="--replace-scope")
        if self.has_rows and provider_type not in _CARRYING_ROWS:
            kinds = ", ".join(sorted(_CARRYING_ROWS))
            raise _bad_file(f"JSON rows go with --provider {kinds}; save the rows as CSV for {provider_type}.")
        if not self.path.is_file():
            raise _bad_file("Expected a regular file; save what the pipe gives to one first.")


def _bad_file(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="FILE")


def _too_large() -> typer.BadParameter:
    return _bad_file("The rows take more than 1 MiB, which is too much for a message; save them as CSV instead.")
