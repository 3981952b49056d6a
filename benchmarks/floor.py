"""The floor: the time to read and load the same rows, with nothing else done."""

import subprocess
import time

import boto3

from benchmarks.warehouse import copy_and_merge, newest_clean_files
from benchmarks.work import Work
from local.postgres import program


def read_to_nowhere(work: Work) -> float:
    """Seconds to read the day's rows of all regions: four `psql COPY` to nowhere, side by side."""
    query = "COPY (SELECT * FROM sales_transactions) TO STDOUT (FORMAT csv)"
    start = time.perf_counter()
    readers = [
        subprocess.Popen([program("psql"), url, "-qc", query], stdout=subprocess.DEVNULL) for url in work.source_urls()
    ]
    if any(reader.wait() for reader in readers):
        raise RuntimeError("psql failed")
    return time.perf_counter() - start


def load_finished_files(work: Work) -> float:
    """Seconds of COPY and MERGE of the files that the newest run staged."""
    s3 = boto3.client(
        "s3",
        endpoint_url=work.environment["S3_ENDPOINT_URL"],
        aws_access_key_id=work.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=work.environment["AWS_SECRET_ACCESS_KEY"],
        region_name=work.environment["AWS_DEFAULT_REGION"],
    )
    return copy_and_merge(work.environment, *newest_clean_files(work.environment, s3))
