"""What the commands share: the options that select letters, who acts and why, and an exit code."""

import getpass
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, Self, TypeVar

import typer

from service.db.dead_letters import Filter
from service.dead_letters.select import parse_age, parse_job_key
from service.domain.errors import UploadError
from service.domain.model import LetterState
from service.domain.provider_types import ProviderType

Command = Callable[..., None]
T = TypeVar("T")

ExecuteOption = Annotated[
    bool, typer.Option("--execute", help="Do it; without this, nothing is changed.")
]
ByOption = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who you are. Default: `$USER@host`.")
]
ReasonOption = Annotated[str | None, typer.Option(metavar="TEXT", help="Why; kept in the audit.")]

NOT_ALL = 3
"""The exit code if not every selected letter was sent or discarded, or a wave did not end well."""

EVERY_STATE = "all"


@dataclass(frozen=True, slots=True)
class LetterSelection:
    """The letters that an operator selects: as a filter, and as the options that were typed."""

    filter: Filter
    options: Mapping[str, Any]

    def within(self, states: tuple[LetterState, ...]) -> Self:
        """Return the same selection for letters in these states."""
        return replace(self, filter=replace(self.filter, states=states))


def with_letter_options(*default_states: LetterState) -> Callable[[Command], Command]:
    """Give a command the options that select letters, and pass it the result as `selection`.

    Without `--state`, the command gets letters in `default_states`; if there are none, in every
    state. For example, this command of two arguments:

        @with_letter_options(LetterState.OPEN)
        def replay(selection: LetterSelection, execute: ExecuteOption = False) -> None: ...

    is for Typer a function with one argument for each option, and `selection` is made from them:

        def replay(*, ids=None, codes=None, …, limit=None, execute=False) -> None: ...
    """

    def decorate(command: Command) -> Command:
        def run(**given: Any) -> None:
            letter_options = {name: given.pop(name) for name in _LETTER_OPTIONS}
            selection = LetterSelection(
                _make_filter(default_states, **letter_options),
                {name: value for name, value in letter_options.items() if value},
            )
            command(selection=selection, **given)

        # Typer reads a command's options from its signature, so the signature gets both kinds.
        own_options = [
            parameter
            for parameter in signature(command).parameters.values()
            if parameter.name != "selection"
        ]
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__signature__ = Signature(  # type: ignore[attr-defined] # `inspect` reads it
            [
                parameter.replace(kind=Parameter.KEYWORD_ONLY)
                for parameter in (*_LETTER_OPTIONS.values(), *own_options)
            ]
        )
        return run

    return decorate


def _make_filter(
    default_states: Sequence[LetterState],
    ids: Annotated[
        list[str] | None,
        typer.Option("--id", metavar="ID", help="A letter's id, or how it begins. Repeatable."),
    ] = None,
    codes: Annotated[
        list[str] | None,
        typer.Option("--code", metavar="CODE", help="Parked with this code. Repeatable."),
    ] = None,
    topics: Annotated[
        list[str] | None,
        typer.Option("--topic", metavar="TOPIC", help="Came on this topic. Repeatable."),
    ] = None,
    providers: Annotated[
        list[ProviderType] | None,
        typer.Option("--provider", help="Of this provider type. Repeatable."),
    ] = None,
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", metavar="KEY", help="`2025:vehicles`, or a module's id. Repeatable."
        ),
    ] = None,
    jobs: Annotated[
        list[int] | None, typer.Option("--job", metavar="ID", help="Of this job. Repeatable.")
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Parked longer ago than `90s`, `15m`, `2h`, `3d`, `1w`."),
    ] = None,
    newer_than: Annotated[str | None, typer.Option(metavar="AGE", help="Parked since.")] = None,
    states: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            help=f"{', '.join(LetterState)}, or {EVERY_STATE}. Repeatable.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="At most this many, the first parked first."),
    ] = None,
) -> Filter:
    return Filter(
        ids=tuple(ids or ()),
        codes=tuple(codes or ()),
        topics=tuple(topics or ()),
        provider_types=tuple(providers or ()),
        scopes=tuple(_parse_option(parse_job_key, key, "--scope") for key in scopes or ()),
        jobs=tuple(jobs or ()),
        older_than=_parse_age_option(older_than, "--older-than"),
        newer_than=_parse_age_option(newer_than, "--newer-than"),
        states=_parse_states(states) if states else tuple(default_states),
        limit=limit,
    )


_LETTER_OPTIONS = {
    name: parameter
    for name, parameter in signature(_make_filter).parameters.items()
    if name != "default_states"
}


def _parse_age_option(given: str | None, option: str) -> timedelta | None:
    return None if given is None else _parse_option(parse_age, given, option)


def _parse_states(given: Sequence[str]) -> tuple[LetterState, ...]:
    """Return the states; none of them means every state."""
    if EVERY_STATE in given:
        return ()
    return tuple(_parse_option(LetterState, state, "--state") for state in given)


def _parse_option(parse: Callable[[str], T], given: str, option: str) -> T:
    """Read the value of an option. Raises `BadParameter` with the option's name."""
    try:
        return parse(given)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint=option) from None
    except UploadError as error:
        raise typer.BadParameter(error.message, param_hint=option) from None


def operator_name(given: str | None) -> str:
    """Return the name of the operator: the given one, or else `user@host` of this process."""
    if given:
        return given
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user id without a name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
