"""`python -m benchmarks.spark_flow`: the daily flow, for an engine without a connector for S3."""

import runpy

from blocks.variables import read_variable
from local.spark_files import files_by_pyarrow
from tasks.stage import load_bucket

if __name__ == "__main__":
    with files_by_pyarrow(load_bucket(read_variable("s3_staging_bucket"))):
        runpy.run_module("flows.daily_sales", run_name="__main__")
