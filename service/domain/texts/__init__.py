"""Make the message that a person reads from a code, a case and named values.

The messages of errors, refusals and row errors are made here, from one text set for each language
(`english`). Programs use the code and the values, and never need to read a message. A second
language would be a second text set with the same keys.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any

from service.domain.texts import english

TextValue = str | int | float | Sequence[str]
"""A value that a text may show. All of these can be written as JSON."""

TextValues = Mapping[str, TextValue]


@dataclass(frozen=True, slots=True)
class TextSet:
    """The texts of one language.

    `texts` has a text for each `code` and for each `code.case`. The key `*.case` is for a case that
    several codes share. The text of the case follows the text of its code, or replaces `{detail}`
    in it. A text names its values in braces: `{size}`. A list takes a format that says how to join
    its items: `{columns:and}`.

    `phrases` are functions for parts of a sentence that depend on several values. A text names a
    phrase in braces, like a value.
    """

    texts: Mapping[str, str]
    phrases: Mapping[str, Callable[[Mapping[str, Any]], str]]


ENGLISH = TextSet(english.TEXTS, english.PHRASES)


def message_of(
    code: str, case: str = "", values: TextValues | None = None, text_set: TextSet = ENGLISH
) -> str:
    """Make the whole message: the text of the code, and the text of the case after or inside it.

    An unknown code or case adds no text.
    """
    detail = detail_of(code, case, values, text_set)
    base = text_set.texts.get(code, "")
    if "{detail}" in base:
        return _fill_in(base, {**(values or {}), "detail": detail}, text_set)
    return f"{_fill_in(base, values or {}, text_set)} {detail}".strip()


def detail_of(
    code: str, case: str = "", values: TextValues | None = None, text_set: TextSet = ENGLISH
) -> str:
    """Make the text of the case alone; it is empty if the case has no text."""
    text = text_set.texts.get(f"{code}.{case}") or text_set.texts.get(f"*.{case}", "")
    return _fill_in(text, values or {}, text_set)


def shorten(text: str, length: int) -> str:
    """The text, or its beginning and `…` if it has more than `length` characters."""
    if len(text) <= length:
        return text
    return f"{text[: length - 1]}…"


def _fill_in(text: str, values: Mapping[str, Any], text_set: TextSet) -> str:
    try:
        return _TextFormatter(text_set.phrases).vformat(text, (), values)
    except (KeyError, ValueError, TypeError):
        # A text that does not match its values is a mistake in our code, and a test looks for it.
        # An error here would stop the processing of the record. So we return the values alone.
        return ", ".join(f"{name}: {value}" for name, value in values.items())


class _TextFormatter(Formatter):
    """Fills values and phrases into a text, and joins lists as their format says."""

    def __init__(self, phrases: Mapping[str, Callable[[Mapping[str, Any]], str]]) -> None:
        self._phrases = phrases

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if key not in kwargs and isinstance(key, str) and key in self._phrases:
            return self._phrases[key](kwargs)
        return super().get_value(key, args, kwargs)

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, list | tuple):
            return _LIST_FORMATS[format_spec](list(map(str, value)))
        text: str = super().format_field(value, format_spec)
        return text


_LIST_FORMATS: Mapping[str, Callable[[list[str]], str]] = {
    "": ", ".join,
    "code": lambda names: ", ".join(f"`{name}`" for name in names),
    "and": " and ".join,
    "or": " or ".join,
    "plus": " + ".join,
    "semicolon": "; ".join,
}
"""How the items of a list are joined: `{names:and}` in a text joins them with "and"."""
