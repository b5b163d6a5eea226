"""The options that the commands share: which letters, who asks, and why."""

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
from service.dead_letters.select import parse_age, parse_scope
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

EVERY_STATE = "all"


@dataclass(frozen=True, slots=True)
class LetterSelection:
    """Which letters are meant, and `asked`: the options that say so as they were typed."""

    filter: Filter
    asked: Mapping[str, Any]

    def within(self, states: tuple[LetterState, ...]) -> Self:
        """The same, of letters in these states alone."""
        return replace(self, filter=replace(self.filter, states=states))


def choosing(*states: LetterState) -> Callable[[Command], Command]:
    """Give a command the options that choose letters; it takes what they mean as `chosen`.

    Without `--state`, letters in one of `states` are meant, and those of every state where there are none.
    """

    def decorate(command: Command) -> Command:
        def run(**given: Any) -> None:
            asked = {name: given.pop(name) for name in _OPTIONS}
            command(chosen=LetterSelection(_filter(states, **asked), _said(asked)), **given)

        own = [
            parameter
            for parameter in signature(command).parameters.values()
            if parameter.name != "chosen"
        ]
        parameters = (*_OPTIONS.values(), *own)
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__signature__ = Signature(  # type: ignore[attr-defined]
            [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in parameters]
        )
        return run

    return decorate


def _filter(
    by_default: Sequence[LetterState],
    ids: Annotated[
        list[str] | None,
        typer.Option("--id", metavar="ID", help="A letter's id, or how it begins. Repeatable."),
    ] = None,
    codes: Annotated[
        list[str] | None,
        typer.Option("--code", metavar="CODE", help="Parked for this. Repeatable."),
    ] = None,
    topics: Annotated[
        list[str] | None,
        typer.Option("--topic", metavar="TOPIC", help="Came on this topic. Repeatable."),
    ] = None,
    providers: Annotated[
        list[ProviderType] | None, typer.Option("--provider", help="Came from these. Repeatable.")
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
        typer.Option(metavar="N", min=1, help="So many at most, the first parked first."),
    ] = None,
) -> Filter:
    return Filter(
        ids=tuple(ids or ()),
        codes=tuple(codes or ()),
        topics=tuple(topics or ()),
        provider_types=tuple(providers or ()),
        scopes=tuple(_parsed(parse_scope, key, "--scope") for key in scopes or ()),
        jobs=tuple(jobs or ()),
        older_than=_age(older_than, "--older-than"),
        newer_than=_age(newer_than, "--newer-than"),
        states=_states(states) if states else tuple(by_default),
        limit=limit,
    )


_OPTIONS = {
    name: option for name, option in signature(_filter).parameters.items() if name != "by_default"
}


def _age(given: str | None, option: str) -> timedelta | None:
    return None if given is None else _parsed(parse_age, given, option)


def _states(given: Sequence[str]) -> tuple[LetterState, ...]:
    if EVERY_STATE in given:
        return ()
    return tuple(_parsed(LetterState, state, "--state") for state in given)


def _parsed(parse: Callable[[str], T], given: str, option: str) -> T:
    try:
        return parse(given)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint=option) from None
    except UploadError as error:
        raise typer.BadParameter(error.message, param_hint=option) from None


def _said(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value}


def actor(given: str | None) -> str:
    """Who does it: as given, else the user of this process at this host."""
    if given:
        return given
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
