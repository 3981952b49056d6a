"""A program outside Prefect goes by the environment, and by the server's variables where there are any."""

from datetime import date
from pathlib import Path

import pytest

from blocks.outside import Outside, read_outside

ENVIRONMENT = {
    "SMTP_HOST": "smtp.example.com",
    "SNOWFLAKE_ACCOUNT": "nh12345",
    "SNOWFLAKE_USER": "ETL",
    "SNOWFLAKE_PASSWORD": "unused",
    "SNOWFLAKE_DATABASE": "RETAIL",
    "SNOWFLAKE_WAREHOUSE": "ETL_WH",
    "SNOWFLAKE_ROLE": "ETL_ROLE",
    "WATCHDOG_DIR": "/var/lib/watchdog",
    "LEASE_MINUTES": "30",
    "FIRST_DATE": "2024-01-15",
}


@pytest.fixture
def outside() -> Outside:
    return read_outside(ENVIRONMENT)


def test_without_a_server_the_environment_rules_and_defaults_fill_in(outside: Outside) -> None:
    assert outside.directory == Path("/var/lib/watchdog")
    assert (outside.variables["lease_minutes"], outside.variables["sla_minutes"]) == (30, 120)
    assert outside.variables["first_date"] == date(2024, 1, 15)


def test_the_variables_of_a_server_rule(outside: Outside) -> None:
    ruled, unusable = outside.ruled_by({"lease_minutes": "60", "sla_minutes": "90", "first_date": ""})
    assert unusable == []
    assert (ruled.variables["lease_minutes"], ruled.variables["sla_minutes"]) == (60, 90)
    assert ruled.variables["first_date"] is None


def test_a_variable_that_the_server_lacks_or_has_unusable_is_the_environments(outside: Outside) -> None:
    ruled, (line,) = outside.ruled_by({"lease_minutes": "long", "first_date": None, "sla_minutes": "90"})
    assert line.startswith("variable lease_minutes is 'long': expected a whole number")
    assert line.endswith("; until then the environment's counts")
    assert (ruled.variables["lease_minutes"], ruled.variables["sla_minutes"]) == (30, 90)
    assert ruled.variables["first_date"] == date(2024, 1, 15)
