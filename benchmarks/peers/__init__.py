"""The peers: other programs that read or load the same rows, each a script in a separate environment."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.work import PEER_TABLE, Work
from local.environment import CHECKOUT

HERE = Path(__file__).parent
ENVIRONMENT = CHECKOUT / ".venv-peers"
RUN_S_MAX = 7200


def python() -> str:
    """Returns the interpreter of the peers' environment, which is created if missing."""
    interpreter = ENVIRONMENT / "bin" / "python"
    marker = ENVIRONMENT / ".installed"
    requirements = HERE / "requirements.txt"
    if not marker.exists() or marker.stat().st_mtime < requirements.stat().st_mtime:
        venv.create(ENVIRONMENT)
        uv = Path(sys.executable).with_name("uv")
        options = ["--quiet", "--compile-bytecode", "--python", str(interpreter)]
        subprocess.run([str(uv), "pip", "sync", *options, str(requirements)], check=True)
        marker.touch()
    return str(interpreter)


def run_peer(work: Work, script: str, *options: str) -> float:
    """Seconds of one run of a peer's script over the rows that it can take."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    environment |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "SLING_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [python(), HERE / f"{script}.py", *options, PEER_TABLE, *work.source_urls()],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=RUN_S_MAX,
        check=True,
    )
    result = json.loads(done.stdout.splitlines()[-1])
    if result["rows"] < work.rows * len(work.source_urls()) * 0.95:
        raise RuntimeError(f"{script} {' '.join(options)} got only {result['rows']:,} rows")
    return float(result["seconds"])
