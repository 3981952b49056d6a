"""Settings of programs without a Prefect server, from the environment variables that registration reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blocks import names
from blocks.environment import Environment, required
from blocks.register import warehouse_blocks
from blocks.smtp import SmtpSettings, read_smtp_settings
from blocks.snowflake import SnowflakeHostConnector
from blocks.variables import DEFINITIONS, parse_variables


@dataclass(frozen=True)
class Outside:
    """Warehouse, mail server, variables (from the environment, else their defaults), and a directory for the record of
    what was mailed."""

    connector: SnowflakeHostConnector
    smtp: SmtpSettings
    variables: dict[str, Any]
    directory: Path


def read_outside(environment: Environment) -> Outside:
    """Raises MissingSettingError or BadVariableError naming the variable that is missing or unusable."""
    required(environment, "SMTP_HOST", "the mail server of alerts")
    smtp = read_smtp_settings(environment)
    assert smtp is not None
    _, connector = warehouse_blocks(environment)
    texts = {definition.name: definition.default for definition in DEFINITIONS}
    given = {name: environment[name.upper()] for name in texts if name.upper() in environment}
    warehouse = required(environment, "SNOWFLAKE_WAREHOUSE", "the warehouse's name")
    directory = environment.get("WATCHDOG_DIR", "").strip() or f"~/.local/state/{names.of(names.PROJECT)}"
    variables = parse_variables({**texts, "snowflake_warehouse": warehouse, **given})
    return Outside(connector, smtp, variables, Path(directory).expanduser())
