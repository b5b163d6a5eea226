"""The demo is not part of production: no worker loads it, and the default image has none of it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOADED = """
import sys
import service.__main__, service.app, service.serve
print(*(name for name in sys.modules if name.startswith("service.demo")))
"""


def run_python(*arguments: str, place: Path) -> subprocess.CompletedProcess[str]:
    """Run Python where `service` is found in `place`, ahead of the installed one."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(place)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def default_build_stage() -> str:
    """The instructions of the stage from which the Dockerfile's last stage copies."""
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)[1:]
    names = {stage.partition("\n")[0].partition(" AS ")[2]: stage for stage in stages}
    (source,) = re.findall(r"COPY --from=(\S+)", stages[-1])
    return names[source]


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the default image installs: the wheel that its Dockerfile builds, unpacked."""
    tree = tmp_path_factory.mktemp("tree")
    stage = default_build_stage()
    for *patterns, target in map(str.split, re.findall(r"^COPY (.+)$", stage, re.MULTILINE)):
        for path in (path for pattern in patterns for path in ROOT.glob(pattern)):
            if path.is_dir():
                shutil.copytree(path, tree / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, tree / target)
    for removal in re.findall(r"\brm .*?(?= \\\n)", stage):
        subprocess.run(shlex.split(removal), cwd=tree, check=True)
    built = run_python("-m", "hatchling", "build", "-t", "wheel", "-d", "dist", place=tree)
    assert built.returncode == 0, built.stderr
    (wheel,) = (tree / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        files.extractall(tree / "unpacked")
    return tree / "unpacked"


def test_a_worker_loads_nothing_of_the_demo() -> None:
    result = run_python("-c", LOADED, place=ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


def test_the_default_image_has_the_service_and_not_the_demo(production: Path) -> None:
    assert (production / "service" / "serve.py").is_file()
    assert not (production / "service" / "demo").exists()


def test_serve_works_without_the_demo(production: Path) -> None:
    result = run_python("-m", "service", "serve", "--help", place=production)
    assert result.returncode == 0, result.stderr
    assert "Consume upload jobs" in result.stdout


def test_the_demo_says_in_a_sentence_that_it_is_not_there(production: Path) -> None:
    result = run_python("-m", "service", "demo", place=production)
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    (sentence,) = result.stderr.splitlines()
    assert "not part of this installation" in sentence
    assert "No module named 'service.demo'" in sentence
