"""The use cases work without the command line: a web page can call them too."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

IMPORT_EVERY_MODULE = """
import importlib, pkgutil, sys

# An import of either fails from here on. To look for them in `sys.modules` afterwards would not do:
# httpx imports rich for a command of its own, if it is there.
sys.modules["typer"] = sys.modules["rich"] = None

package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
    importlib.import_module(module.name)
    print(module.name)
"""


@pytest.mark.parametrize(
    ("package", "known_module"),
    [
        ("service.dead_letters", "service.dead_letters.replay"),
        ("service.jobs", "service.jobs.submit"),
    ],
)
def test_the_use_cases_import_neither_typer_nor_rich(package: str, known_module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EVERY_MODULE, package],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert known_module in done.stdout.splitlines()
