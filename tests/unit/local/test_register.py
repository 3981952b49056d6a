"""`make register`: the stack's own environment, and the variables that the caller names."""

import os
import subprocess
import sys
from pathlib import Path

from local.environment import CHECKOUT
from local.register import stack_settings

STACK = {"PREFECT_API_URL": "http://127.0.0.1:4200/api", "SNOWFLAKE_WAREHOUSE": "ETL_WH", "PII_TOKEN_KEY": "k" * 32}


def test_the_callers_variables_are_registered() -> None:
    caller = {"CLOSED_DAYS": '{"EUROPE": ["2017-12-25"]}', "MIN_RECORD_COUNT": "7"}
    assert stack_settings(STACK, caller) == STACK | caller


def test_the_stacks_own_settings_win() -> None:
    caller = {"SNOWFLAKE_WAREHOUSE": "PRODUCTION", "PREFECT_API_URL": "https://prefect.example.com/api"}
    assert stack_settings(STACK, caller) == STACK


def test_other_settings_of_the_caller_do_not_reach_the_local_stack() -> None:
    assert stack_settings(STACK, {"SNOWFLAKE_PRIVATE_KEY_PATH": "/key.p8", "PG_CONNECT_TIMEOUT_S": "1"}) == STACK


def test_a_stack_that_was_never_started_is_one_clear_line(tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "local.register"],
        cwd=CHECKOUT,
        env=os.environ | {"RETAIL_SALES_LOCAL_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"the local stack was never started ({tmp_path}/stack.env is missing): run `make up`\n"
