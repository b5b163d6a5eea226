"""The options that `submit` and `check` share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from service.domain.model import OnRowError, ReplaceScope
from service.domain.provider_types import ProviderType
from service.jobs.request import BadRequest

FileArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", exists=True, dir_okay=False, readable=True, help="A CSV file, or JSON rows."
    ),
]
TypeOption = Annotated[
    str,
    typer.Option(
        "--type", metavar="TYPE", help="The type's name or number; `uploads template` lists them."
    ),
]
YearOption = Annotated[int, typer.Option(min=1900, max=2200, help="The year that the rows are of.")]
ProviderOption = Annotated[
    ProviderType | None,
    typer.Option(
        help="Who uploads, and how. Default: `csv-module-per-year`, "
        "and with `--module` `csv-module-unit-specific`."
    ),
]
ModuleOption = Annotated[
    int | None,
    typer.Option(
        metavar="ID",
        min=1,
        max=2**63 - 1,
        help="The carbon report module of a unit-specific upload.",
    ),
]
ReplaceScopeOption = Annotated[
    ReplaceScope | None,
    typer.Option(
        help="Replace in the units that the file has rows for (`affected`, the default), "
        "or in all of the `year`."
    ),
]
OnRowErrorOption = Annotated[
    OnRowError | None,
    typer.Option(
        help="What an invalid row does: it is skipped (the default), or the whole upload rejected."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

_OPTION_OF = {"file": "FILE", "module": "--module", "replace_scope": "--replace-scope"}
"""The option or argument for each part of a request."""


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn a `BadRequest` of the body into typer's `BadParameter`, which names the option."""
    try:
        yield
    except BadRequest as error:
        raise typer.BadParameter(error.message, param_hint=_OPTION_OF[error.part]) from None
