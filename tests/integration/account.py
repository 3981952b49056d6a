"""Where the tests that are marked `account` find their warehouse.

On a real account where one is named, in a database of a random name that they make and drop; else on the stand-in, like
all others.
"""

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from blocks.register import warehouse_blocks
from tasks.warehouse.session import Session, open_session
from tasks.warehouse.statements import render

PREFIX = "SNOWFLAKE_TEST_"
NEEDED = ("ACCOUNT", "USER", "PRIVATE_KEY_PATH", "ROLE", "WAREHOUSE", "BUCKET", "INTEGRATION")
OPTIONAL = ("PRIVATE_KEY_PASSPHRASE", "HOST", "PORT", "PROTOCOL")
"""A passphrase where the key has one; a host where a private link needs its name."""
OF_THE_STACK = ("HOST", "PORT", "PROTOCOL", "PASSWORD")
"""What the stand-in needs and an account does not."""
AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")


def account_settings(environment: Mapping[str, str]) -> dict[str, str] | None:
    """The settings of the account without their prefix; None where none is named. Raises UsageError for a part of
    them."""
    given = {name: environment[PREFIX + name] for name in (*NEEDED, *OPTIONAL) if environment.get(PREFIX + name)}
    lacking = [PREFIX + name for name in NEEDED if name not in given]
    if given and lacking:
        raise pytest.UsageError(f"for a real account {', '.join(lacking)} are lacking: set them, or none of {PREFIX}*")
    return given or None


def headline(environment: Mapping[str, str]) -> str:
    """Where the tests run, in a line."""
    if settings := account_settings(environment):
        return f"on account {settings['ACCOUNT']}, in a database RETAIL_TEST_... that is made for them and dropped"
    needed = ", ".join(PREFIX + name for name in NEEDED)
    return f"on the stand-in; for a real account set {needed} and {', '.join(AWS)} (tests/README.md)"


def environment_on(settings: Mapping[str, str], caller: Mapping[str, str], database: str) -> dict[str, str]:
    """The variables by which loads and set-up reach the account; an empty one stands for none."""
    key = {name: settings.get(name, "") for name in ("PRIVATE_KEY_PATH", "PRIVATE_KEY_PASSPHRASE")}
    of_user = {"USER": settings["USER"], **key}
    return {
        **{f"SNOWFLAKE_{name}": settings.get(name, "") for name in OF_THE_STACK},
        **{f"SNOWFLAKE_{name}": value for name, value in of_user.items()},
        **{f"SNOWFLAKE_ADMIN_{name}": value for name, value in of_user.items()},
        "SNOWFLAKE_ACCOUNT": settings["ACCOUNT"],
        "SNOWFLAKE_ADMIN_ROLE": settings["ROLE"],
        "SNOWFLAKE_ROLE": f"{database}_LOAD",
        "SNOWFLAKE_DATABASE": database,
        "SNOWFLAKE_WAREHOUSE": settings["WAREHOUSE"],
        "SNOWFLAKE_WATCH_WAREHOUSE": settings["WAREHOUSE"],
        "S3_STAGING_BUCKET": settings["BUCKET"],
        "S3_ENDPOINT_URL": "",
        **{name: caller.get(name, "") for name in AWS},
    }


def random_database() -> str:
    """The name of a database that nobody has."""
    return f"RETAIL_TEST_{uuid.uuid4().hex[:12].upper()}"


@contextmanager
def administrator(environment: Mapping[str, str]) -> Iterator[Session]:
    """A session of who sets up; on the stand-in there is one user."""
    prefix = "SNOWFLAKE_ADMIN_" if environment.get("SNOWFLAKE_ADMIN_USER") else "SNOWFLAKE_"
    _, connector = warehouse_blocks(environment, prefix)
    with open_session(connector, environment["SNOWFLAKE_WAREHOUSE"], "test") as session:
        yield session


def open_to_the_load(session: Session, settings: Mapping[str, str], database: str) -> None:
    """What an administrator does once after the first set-up."""
    session.query(f"GRANT ROLE {database}_LOAD TO ROLE {settings['ROLE']}")
    values = {
        "database": database,
        "stage_url": f"'s3://{settings['BUCKET']}/'",
        "stage_integration": f"STORAGE_INTEGRATION = {settings['INTEGRATION']}",
    }
    session.run_script(render("setup/08_stage", **values))


def drop(environment: Mapping[str, str], database: str) -> None:
    """Nothing stays of what the tests have made on the account."""
    with administrator(environment) as session:
        session.query(f"DROP DATABASE IF EXISTS {database}")
        for role in ("LOAD", "ANALYST"):
            session.query(f"DROP ROLE IF EXISTS {database}_{role}")


def is_asked(config: pytest.Config) -> bool:
    """Whether the run is `make test-snowflake`."""
    return bool(config.getoption("--account", default=False))


CALLER: Mapping[str, str] = dict(os.environ)
"""The variables of who called, before a stack adds its own."""
