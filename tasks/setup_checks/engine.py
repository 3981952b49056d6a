"""Check of the engine that Spark Connect reaches: its address and version, and that it reads and writes the bucket."""

from importlib.metadata import version
from typing import Any
from uuid import uuid4

from blocks.variables import read_variable
from tasks.engine.server import engine_address, lacking_packages
from tasks.setup_checks.bucket import PROBE_PREFIXES, load_staging_bucket
from tasks.setup_checks.check import Check, SetupFaultError
from tasks.stage import load_bucket

PROBE_ROWS = 3
START_MINUTES = 5
"""What a cluster that sleeps may take to answer."""
RIGHTS = (
    "give the engine's own role s3:PutObject, s3:GetObject, s3:DeleteObject and s3:ListBucket on the bucket; on "
    "Databricks, an external location over it with READ FILES and WRITE FILES"
)


def engine_checks() -> list[Check]:
    """The engine `spark`. Workers without its packages run pandas alone, which is no fault."""
    return [
        Check(
            "engine",
            _try,
            f"look at the engine's log, and {RIGHTS}",
            needs=("bucket rights",),
            time_limit_s=60 * START_MINUTES + 15,
        )
    ]


def _try() -> str:
    remote = read_variable("spark_remote")
    if not remote and (lacking := lacking_packages()):
        return f"pandas alone; engine spark lacks {', '.join(lacking)} (requirements-spark.txt)"
    client, name = load_staging_bucket()
    with engine_address(remote, load_bucket(name), START_MINUTES) as address:
        # Imports pyspark, which not every worker has.
        from tasks.engine.session import engine_session

        with engine_session(address.authorized()) as spark:
            _write_and_read(spark, client, name)
            found = f"{remote or 'a Sail server of the run'}: Spark {spark.version}, reads and writes s3://{name}"
            return found + (_older_than_client(spark.version) if remote else "")


def _older_than_client(engine: str) -> str:
    """A client may send an older engine what it does not know."""
    client = version("pyspark-client")
    older = [int(part) for part in engine.split(".")[:2]] < [int(part) for part in client.split(".")[:2]]
    return f"; older than pyspark-client {client} of the workers: give them the engine's version" if older else ""


def _write_and_read(spark: Any, client: Any, name: str) -> None:
    prefix = f"{PROBE_PREFIXES[0]}-engine-{uuid4().hex}"
    url = f"s3://{name}/{prefix}"
    try:
        spark.range(PROBE_ROWS).write.parquet(url)
        if (rows := spark.read.parquet(url).count()) != PROBE_ROWS:
            raise SetupFaultError(f"the engine read {rows} of {PROBE_ROWS} rows that it wrote to {url}: {RIGHTS}")
    finally:
        listed = client.list_objects_v2(Bucket=name, Prefix=prefix).get("Contents", ())
        for found in listed:
            client.delete_object(Bucket=name, Key=found["Key"])
