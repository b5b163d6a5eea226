"""From a code and named values to the sentence that a person reads.

Every message of an error, a refusal or a row error is made here, from one catalogue of texts for each
language (`english`). A program reads the code and the values, and never has to read a sentence. A second
language is a second catalogue with the same keys.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any

from service.domain.texts import english

Value = str | int | float | Sequence[str]
"""What a text may name; each is a JSON value."""

Values = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The texts of one language, and the phrases that they have in common.

    `texts` has a text by `code`, and one by `code.case` for each case of that code. `*.case` is the text
    of a case that several codes share. The text of a case stands behind the text of its code, or where
    this says `{detail}`. A text names values in braces. `phrases` make a part of a sentence of several
    values.
    """

    texts: Mapping[str, str]
    phrases: Mapping[str, Callable[[Mapping[str, Any]], str]]


ENGLISH = Catalogue(english.TEXTS, english.PHRASES)


def message_of(
    code: str, case: str = "", values: Values | None = None, catalogue: Catalogue = ENGLISH
) -> str:
    """The whole message: the text of the code, with that of the case behind it or inside it."""
    detail = detail_of(code, case, values, catalogue)
    base = catalogue.texts.get(code, "")
    if "{detail}" in base:
        return _rendered(base, {**(values or {}), "detail": detail}, catalogue)
    return f"{_rendered(base, values or {}, catalogue)} {detail}".strip()


def detail_of(
    code: str, case: str = "", values: Values | None = None, catalogue: Catalogue = ENGLISH
) -> str:
    """The text of the case alone; empty where there is none."""
    text = catalogue.texts.get(f"{code}.{case}") or catalogue.texts.get(f"*.{case}", "")
    return _rendered(text, values or {}, catalogue)


def _rendered(text: str, values: Mapping[str, Any], catalogue: Catalogue) -> str:
    try:
        return _TextFormatter(catalogue.phrases).vformat(text, (), values)
    except (KeyError, ValueError, TypeError):
        # A text that does not fit its values is our mistake, and a test looks for it. The record in hand
        # must not be held for it: the person gets the values without their sentence.
        return ", ".join(f"{name}: {value}" for name, value in values.items())


class _TextFormatter(Formatter):
    """Fills in values; a list is joined in the way that its format names."""

    def __init__(self, phrases: Mapping[str, Callable[[Mapping[str, Any]], str]]) -> None:
        self._phrases = phrases

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if key not in kwargs and isinstance(key, str) and key in self._phrases:
            return self._phrases[key](kwargs)
        return super().get_value(key, args, kwargs)

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, list | tuple):
            return _LISTS[format_spec](list(map(str, value)))
        text: str = super().format_field(value, format_spec)
        return text


_LISTS: Mapping[str, Callable[[list[str]], str]] = {
    "": ", ".join,
    "code": lambda names: ", ".join(f"`{name}`" for name in names),
    "and": " and ".join,
    "or": " or ".join,
    "plus": " + ".join,
    "semicolon": "; ".join,
}
"""How the items of a list are joined, by the format that a text gives."""
