"""A new provider type is a line in the table and a handler; nothing else has to know of it."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

import service
from tests.support.university import PHYSICS, University

ROOT = Path(service.__file__).parents[1]

SOURCE = "    FLEET_SYSTEM = 6\n"

PROVIDER_TYPE = """
    FLEET_SYSTEM = (
        "fleet-system",
        DataEntrySource.FLEET_SYSTEM,
        WriteMode.REPLACE,
        ModuleNamedBy.ROW,
        Content.FILE_OR_ROWS,
        "The vehicles of a fleet system; replaces what it sent before.",
    )
"""

HANDLER = """
    @subscriptions.subscriber(ProviderType.FLEET_SYSTEM)
    async def fleet_system(message: KafkaMessage) -> None:
        await subscriptions.dispatch(ProviderType.FLEET_SYSTEM, message)
"""

PROGRAM = """
import asyncio, sys
from pathlib import Path
import orjson
import service
from service.app import build_app
from service.contract.topics import Topics
from service.db.engine import create_engine
from service.docs import rendered
from service.domain.provider_types import ProviderType
from service.jobs.request import UploadRequest
from tests.support.jobs import Jobs, purchases
from tests.support.worker import settings_for

async def main(database, root):
    fleet = ProviderType("fleet-system")
    engine = create_engine(database, pool_size=2)
    jobs = Jobs(engine, root)
    await jobs.run(fleet, purchases("PHYS", "PHYS"), job_id=1)
    event = await jobs.run(fleet, purchases("PHYS"), job_id=2)
    app = build_app(settings_for(database, "nowhere:9092", root, "t"))
    rows = root / "rows.json"
    rows.write_bytes(b"[]")
    request = UploadRequest.of(rows, "vehicles", 2025, fleet, None, replace_scope="year")
    print(orjson.dumps({
        "code": service.__file__,
        "event": event,
        "topics": [one.topic for one in app.subscriptions.topic_consumers.values()],
        "topic": Topics("t").job_topic(fleet),
        "pages": sorted(rendered()),
        "request": request.provider_type,
    }).decode())
    await engine.dispose()

asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the service's code that a test may change."""
    tree = tmp_path / "tree"
    ignored = shutil.ignore_patterns("__pycache__")
    for package in ("service", "migrations"):
        shutil.copytree(ROOT / package, tree / package, ignore=ignored)
    return tree


def insert(path: Path, before: str, what: str) -> None:
    text = path.read_text("utf-8")
    assert text.count(before) == 1
    path.write_text(text.replace(before, what + before), "utf-8")


def run(tree: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the copy's code in the place of the project's."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=tree.parent,
        env=os.environ | settings | {"PYTHONPATH": f"{tree}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_a_line_and_a_handler_make_a_new_provider_type(
    tree: Path, shared_database: str, university: University, tmp_path: Path
) -> None:
    table = tree / "service/domain/provider_types.py"
    insert(table, "\n\ndef source_name(", SOURCE)
    insert(table, "\n    @property\n    def is_unit_specific(", PROVIDER_TYPE)
    handler = tree / "service/handlers/external.py"
    handler.write_text(handler.read_text("utf-8") + HANDLER, "utf-8")
    root = tmp_path / "root"
    root.mkdir()
    program = PROGRAM.replace('"PHYS"', repr(PHYSICS))
    ran = await asyncio.to_thread(run, tree, "-c", program, shared_database, str(root))
    assert ran.returncode == 0, ran.stderr
    told = orjson.loads(ran.stdout.splitlines()[-1])

    assert told["code"].startswith(str(tree))
    assert told["event"]["provider_type"] == "fleet-system"
    assert told["event"]["sources"] == [
        {"source": "FLEET_SYSTEM", "deleted": 2, "inserted": 1, "remaining": 1}
    ]
    assert told["topic"] == "t.fleet-system"
    assert told["topic"] in told["topics"]
    assert "docs/contract/fleet-system.schema.json" in told["pages"]
    assert told["request"] == "fleet-system"
    assert len(await university.scope(PHYSICS, 6)) == 1


def test_a_provider_type_without_a_handler_keeps_the_worker_from_starting(
    tree: Path, tmp_path: Path
) -> None:
    table = tree / "service/domain/provider_types.py"
    insert(
        table,
        "\n    @property\n    def is_unit_specific(",
        PROVIDER_TYPE.replace(
            "DataEntrySource.FLEET_SYSTEM", "DataEntrySource.EXTERNAL_INTEGRATION"
        ),
    )
    settings = {
        "UPLOADS_DATABASE__URL": "postgresql://nobody@127.0.0.1:1/none",
        "UPLOADS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "UPLOADS_STORAGE__ROOT": tmp_path.as_uri(),
        "UPLOADS_LOG__FORMAT": "json",
    }
    ran = run(tree, "-m", "service", "serve", **settings)
    (line,) = map(orjson.loads, ran.stderr.splitlines())
    assert ran.returncode == 1
    assert (line["event"], line["level"]) == ("worker_failed", "critical")
    assert line["reason"] == "no handler subscribes to fleet-system"
    assert "_subscribe" in line["stack"]
