"""Every message that a person reads is made from one text set."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from string import Formatter

import pytest

import service
from service.domain import errors
from service.domain.catalogue import RowErrorCode
from service.domain.texts import ENGLISH, detail_of, message_of
from service.domain.texts.english import ERRORS, REFUSALS, REQUESTS, ROW_ERRORS, TEXTS

SERVICE = Path(service.__file__).parent
ROOT = SERVICE.parent

NAMED_AT_RUN_TIME = {
    # by the encoding of the file, by what the bytes look like, by the number of names
    "broken_gzip",
    "broken_zstd",
    "cut_short_gzip",
    "cut_short_zstd",
    "utf_16",
    "damaged",
    "windows_1252",
    "all_names",
    "first_names",
    "or_thousands",
    "alone",
    "value",
    "too_large",
    "no_number",
}


@lru_cache(maxsize=1)
def literals() -> frozenset[str]:
    """Every text constant of the service's code, the text sets left out."""
    found = set()
    for path in SERVICE.rglob("*.py"):
        if path.parent.name == "texts":
            continue
        tree = ast.parse(path.read_text("utf-8"))
        found |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return frozenset(value for value in found if isinstance(value, str))


def error_classes() -> Iterator[type[errors.UploadError]]:
    for module in pkgutil.walk_packages(service.__path__, "service."):
        if not module.name.startswith(("service.demo", "service.__main__")):
            importlib.import_module(module.name)
    waiting = [errors.UploadError]
    while waiting:
        subclasses = waiting.pop().__subclasses__()
        waiting += subclasses
        yield from subclasses


def raised() -> Iterator[str]:
    """The keys of all errors that the code makes with a literal case: `wrong_size.longer`."""
    codes = {one.__name__: one.code for one in error_classes()}
    for path in SERVICE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                yield from _key_of(ast.unparse(node.func), node.args, codes)


def _key_of(name: str, args: list[ast.expr], codes: Mapping[str, str]) -> Iterator[str]:
    literal = [arg.value if isinstance(arg, ast.Constant) else ast.unparse(arg) for arg in args]
    match name, literal:
        case "InvalidCell", [_, str(code), *case]:
            code = RowErrorCode[code.rpartition(".")[2]] if code.startswith("RowErrorCode.") else ""
        case (("Refusal" | "Reason.of"), [str(code), *case]):
            pass
        case "BadRequest", [_, *case]:
            code = "bad_request"
        case _, case:
            code = codes.get(name, "")
    is_literal = all(isinstance(arg, ast.Constant) for arg in args[-len(case) :]) if case else True
    if code in {key.partition(".")[0] for key in TEXTS} and is_literal:
        yield ".".join([code, *map(str, case)])


ABSTRACT = {"poison", "refused", "bad_request"}
"""Codes that nobody is shown without a case, or at all."""


@pytest.mark.parametrize("code", sorted({one.code for one in error_classes()} - ABSTRACT))
def test_every_kind_of_failure_has_a_text(code: str) -> None:
    assert TEXTS[code]


@pytest.mark.parametrize("code", list(RowErrorCode))
def test_every_row_error_has_a_text(code: RowErrorCode) -> None:
    assert any(key == code or key.startswith(f"{code}.") for key in ROW_ERRORS)


@pytest.mark.parametrize("key", sorted({*raised()}))
def test_every_error_that_is_raised_has_its_text(key: str) -> None:
    _, dot, case = key.partition(".")
    has_cases = not any(known.startswith(f"{key}.") for known in {*TEXTS} - {*ERRORS})
    assert key in TEXTS or f"*.{case}" in TEXTS if dot else has_cases


@pytest.mark.parametrize("key", sorted(TEXTS))
def test_every_text_is_used(key: str) -> None:
    code, _, case = key.partition(".")
    known = literals() | {one.code for one in error_classes()} | set(RowErrorCode)
    assert code == "*" or code in known
    assert not case or case in known | NAMED_AT_RUN_TIME


def test_the_text_set_names_nothing_twice() -> None:
    assert len(TEXTS) == sum(map(len, (ERRORS, REFUSALS, ROW_ERRORS, REQUESTS)))


@pytest.mark.parametrize("key", sorted(TEXTS))
def test_a_text_is_filled_in_with_its_values(key: str) -> None:
    names = {name for _, name, _, _ in Formatter().parse(TEXTS[key]) if name}
    values = dict.fromkeys(names - {"detail"} - set(ENGLISH.phrases), 7)
    shapes = {spec for _, name, spec, _ in Formatter().parse(TEXTS[key]) if name and spec}
    if shapes & {"code", "and", "or", "plus", "semicolon"}:
        values = {name: ["a", "b"] for name in values}
    code, _, case = key.partition(".")
    said = message_of(code if code != "*" else "any", case, values)
    assert "{" not in said.replace('[{"name"', "")


def test_a_text_that_does_not_fit_its_values_says_the_values_and_raises_nothing() -> None:
    assert detail_of("wrong_size", "longer", {"found": 7}) == "found: 7"


def test_a_value_is_never_read_as_a_text() -> None:
    assert "{stated}" in message_of("file_gone", "at", {"url": "file:///{stated}"})


@pytest.mark.parametrize("flag", ["-O", "-OO"])
def test_messages_do_not_depend_on_docstrings(flag: str) -> None:
    program = (
        "from service.domain.errors import WrongSize\n"
        "print(WrongSize('shorter', found=3, stated=4).message)"
    )
    said = subprocess.run(
        [sys.executable, flag, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.startswith("The file's size is not the one that the message states;")
    assert said.stdout.rstrip().endswith("It has 3 bytes; 4 were stated.")
