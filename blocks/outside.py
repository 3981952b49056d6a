"""Settings of programs that need no Prefect server, from the environment variables that registration reads."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from blocks import names
from blocks.environment import Environment, required
from blocks.register import warehouse_blocks
from blocks.smtp import SmtpSettings, read_smtp_settings
from blocks.snowflake import SnowflakeHostConnector
from blocks.variables import DEFINITIONS, BadVariableError, parse_variable, parse_variables


@dataclass(frozen=True)
class Outside:
    """Warehouse, mail server, variables (from the environment, else their defaults), and a directory for the record of
    what was mailed."""

    connector: SnowflakeHostConnector
    smtp: SmtpSettings
    variables: dict[str, Any]
    directory: Path

    def ruled_by(self, on_server: Mapping[str, str | None]) -> tuple["Outside", list[str]]:
        """Returns the same with the variables of a Prefect server, by their texts, and a line for each of these that is
        unusable. Those that the server lacks, or that are unusable there, stay."""
        variables, unusable = dict(self.variables), []
        for name, text in on_server.items():
            try:
                variables[name] = self.variables[name] if text is None else parse_variable(name, text)
            except BadVariableError as error:
                unusable.append(f"{error}; until then the environment's counts")
        return replace(self, variables=variables), unusable


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
