"""The property of the row checker with EXAMPLES examples a form of file, instead of thirty."""

import os

import pytest
from hypothesis import settings

from tests.unit import test_check_property as usual
from tests.unit.test_check_property import (  # noqa: F401 - pytest collects them from here
    test_the_checker_reads_every_row_as_the_rules_say,
    test_the_compiled_check_and_the_slow_one_give_the_same_to_the_letter,
)

EXAMPLES = int(os.environ.get("EXAMPLES") or 300)


@pytest.fixture(autouse=True)
def _more_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usual, "PATIENT", settings(usual.PATIENT, max_examples=EXAMPLES))
