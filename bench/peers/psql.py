r"""`psql \copy` of ready-made rows after the same scoped delete: what the database itself needs."""

import subprocess
import time
from pathlib import Path

from bench.support.files import PURCHASES
from service.db.entries import COLUMNS
from service.demo.postgres import find_binaries


def replace(url: str, ready_made: Path, modules: list[int], source: int = 1) -> float:
    """Replace the rows of the modules in one transaction; return the seconds that it takes."""
    module_ids = ",".join(map(str, modules))
    script = "\n".join(
        (
            "BEGIN;",
            "DELETE FROM data_entries "
            f"WHERE carbon_report_module_id = ANY('{{{module_ids}}}'::bigint[]) "
            f"AND data_entry_type_id = {PURCHASES.id} AND source = {source};",
            rf"\copy data_entries ({', '.join(COLUMNS)}) FROM '{ready_made}'",
            "COMMIT;",
        )
    )
    command = [find_binaries() / "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", url]
    before = time.perf_counter()
    subprocess.run(command, input=script, text=True, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - before
