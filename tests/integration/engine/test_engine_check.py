"""check-setup tries the engine: what it says of one that works, and of one that is away."""

from dataclasses import replace

import pytest

from tasks.setup_checks.check import Finding, Outcome, run_checks
from tasks.setup_checks.engine import engine_checks
from tasks.stage import load_bucket
from tests.integration.conftest import World, free_port

pytestmark = pytest.mark.more


def finding() -> Finding:
    """What the check says when all that it needs is there."""
    (found,) = run_checks([replace(check, needs=()) for check in engine_checks()])
    return found


def test_the_servers_version_is_named_and_nothing_is_left_in_the_bucket(world: World) -> None:
    found = finding()
    assert found.outcome is Outcome.OK, found.message
    assert "a Sail server of the run: Spark " in found.message
    assert "reads and writes s3://retail-sales-staging" in found.message
    client = load_bucket("retail-sales-staging").credentials.get_s3_client()
    assert "Contents" not in client.list_objects_v2(Bucket="retail-sales-staging", Prefix="sales/probe-engine")


def test_an_address_without_an_engine_is_bad_and_names_the_variable(world: World) -> None:
    port = free_port()
    with world.variable("spark_remote", f"sc://127.0.0.1:{port}"):
        found = finding()
    assert found.outcome is Outcome.BAD
    assert f"no engine listens at 127.0.0.1:{port}" in found.message
    assert "spark_remote" in found.message
