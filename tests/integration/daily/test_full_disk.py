"""A disk that is really full: a small tmpfs, mounted in a separate namespace."""

import subprocess
import sys
from pathlib import Path

import pytest

from local.environment import CHECKOUT

WRITES = """
import os, sys
from pathlib import Path
import pyarrow as pa
from local.environment import CHECKOUT
from tasks.files.arrow import open_writer
from tasks.files.room import ScratchFullError, full_disk_named

directory, schema = Path(sys.argv[1]), pa.schema([("text", pa.string())])
batch = pa.record_batch([pa.array([os.urandom(50).hex() for _ in range(3000)])], schema=schema)

def write(region, batches):
    path = directory / f"{region}.extracted.arrow"
    with full_disk_named(f"region {region}", path), open_writer(path, schema) as writer:
        for _ in range(batches):
            writer.write_batch(batch)

try:
    write("EUROPE", 50)
except ScratchFullError as error:
    print(error)
write("US_EAST", 1)
print(sorted(os.listdir(directory)))
"""


@pytest.mark.more  # where mounting is not allowed, test_regions_left_out.py still has a full disk
def test_a_region_that_fills_the_disk_leaves_room_to_the_others(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=900k tmpfs "$1" && exec "$2" -c "$3" "$1"'
    program = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    ran = subprocess.run(
        [*program, str(tmp_path), sys.executable, WRITES],
        capture_output=True,
        text=True,
        check=True,
        cwd=CHECKOUT,
    )
    assert ran.stdout.splitlines() == [
        f"the scratch disk is full: {tmp_path}/EUROPE.extracted.arrow of region EUROPE could not be written "
        "(No space left on device, 0 MiB free): free some space, or start the worker with TMPDIR on a larger disk",
        "['US_EAST.extracted.arrow']",
    ]
