"""`uploads template`: what a file of each type looks like."""

from typing import Annotated

import typer

from service.cli.screen import Screen
from service.domain.catalogue import ENTRY_TYPES, FACTOR_TYPES, entry_type, factor_type, module_name
from service.domain.catalogue.pages import template as template_of


def register(cli: typer.Typer) -> None:
    """Add the subcommand."""
    cli.command()(template)


def template(
    type_: Annotated[
        str | None,
        typer.Argument(
            metavar="[TYPE]", help="The type's name or number; without one, all are listed."
        ),
    ] = None,
    unit_specific: Annotated[
        bool,
        typer.Option(
            "--unit-specific", help="For an upload to one module: without the column of the unit."
        ),
    ] = False,
    factors: Annotated[
        bool, typer.Option("--factors", help="For the factors of the type.")
    ] = False,
) -> None:
    """Print the CSV header of a type with an example row, or list the types.

    Needs no settings.

    **Examples**

    - `uploads template`
    - `uploads template other_purchases > purchases.csv`
    - `uploads template member --unit-specific`
    - `uploads template plane --factors`
    """
    if factors and unit_specific:
        raise typer.BadParameter("factors belong to no unit.", param_hint="--unit-specific")
    if type_ is None:
        _list_types(factors=factors)
        return
    catalogue_type = factor_type(type_) if factors else entry_type(type_)
    typer.echo(template_of(catalogue_type, per_year=not unit_specific), nl=False)


def _list_types(*, factors: bool) -> None:
    types = (FACTOR_TYPES if factors else ENTRY_TYPES).values()
    rows = [(str(type_.id), type_.name, module_name(type_.module_type_id)) for type_ in types]
    Screen().table(("number", "type", "module"), rows, numbers=("number",))
