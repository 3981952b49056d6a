"""Names on a Prefect server: of blocks, deployments, queues, tags and events.

Several environments can share a server; RETAIL_SALES_ENVIRONMENT names the one of this process. Production's names are
plain, those of other environments carry the environment.
"""

import os
import re
from dataclasses import dataclass

from expectations.regions import REGIONS

PRODUCTION = "production"
VARIABLE_OF_SHELL = "RETAIL_SALES_ENVIRONMENT"
RESERVED = ("admin",)
"""Suffixes of production's own blocks: `sales-warehouse-admin`."""


def read_environment(text: str | None) -> str:
    """Returns the environment's name, production for none. Raises ValueError with the form of a name."""
    name = (text or "").strip() or PRODUCTION
    if not re.fullmatch(r"[a-z][a-z0-9]{0,19}", name) or name in RESERVED:
        raise ValueError(
            f"{VARIABLE_OF_SHELL} is {text!r}: give a word of at most 20 small letters and digits, like staging; "
            f"{' and '.join(RESERVED)} has another meaning"
        )
    return name


try:
    ENVIRONMENT = read_environment(os.environ.get(VARIABLE_OF_SHELL))
except ValueError as error:
    raise SystemExit(str(error)) from None


HERE = "" if ENVIRONMENT == PRODUCTION else f"{VARIABLE_OF_SHELL}={ENVIRONMENT} "
"""Before `make` and `python -m` in texts that people read: pasted into any shell, it acts on this environment."""


@dataclass(frozen=True)
class Queue:
    """A queue of the pool; `limit` is its number of concurrent runs, None for any."""

    name: str
    limit: int | None
    priority: int
    description: str


@dataclass(frozen=True)
class Deployment:
    """A deployment that has to exist, and its queue."""

    name: str
    queue: str
    scheduled: bool = False


def of(name: str, environment: str = ENVIRONMENT) -> str:
    """The name of a block, pool, tag or event in the environment."""
    return name if environment == PRODUCTION else f"{name}-{environment}"


def variable(name: str) -> str:
    """A variable's name on the server, where Prefect accepts no hyphen."""
    return of(name).replace("-", "_")


def deployment(flow: str) -> str:
    """The deployment of a flow: `<flow>/<environment>`."""
    return f"{flow}/{ENVIRONMENT}"


def database(region: str) -> str:
    """The name of the block of a region's database."""
    return of(REGIONS[region].block)


PROJECT = "retail-sales"
TITLE = PROJECT if ENVIRONMENT == PRODUCTION else f"{PROJECT} {ENVIRONMENT}"
"""The first words of alerts and automations."""
POOL = of(PROJECT)
LOAD, OPS = "load", "ops"
QUEUES = (
    Queue(OPS, None, 1, "Alerts, checks, the watchdog: they never wait behind a load."),
    Queue(LOAD, 1, 2, "What loads: daily runs, backfills, reconciles, replays, one at a time."),
)
EVENT, REGION_RESOURCE = f"{of(PROJECT)}.anomaly", f"{of(PROJECT)}.region"

WAREHOUSE = of("sales-warehouse")
WAREHOUSE_CREDENTIALS = of("sales-warehouse")
WAREHOUSE_ADMIN = of("sales-warehouse-admin")
STORAGE_INTEGRATION = of("retail-sales-s3").replace("-", "_").upper()
"""Of Snowflake, where its name is one of the whole account."""
STAGING_BUCKET = of("sales-staging")
STAGING_CREDENTIALS = of("sales-staging")
LIMITED = (*map(database, REGIONS), WAREHOUSE)
"""Tags of the tasks that read a source or load the warehouse: the names of their blocks. A concurrency limit of Prefect
on one of them limits how many of these tasks run at once."""
TOKEN_KEY = of("sales-token-key")
SPARK_TOKEN = of("sales-spark-token")
ALERT_MAIL = of("sales-alerts")
NOTIFICATION = of("retail-sales-alerts")
ALERT_ENTRY, ALERT_TAG = variable("alert"), of("retail-sales-alert")
"""The prefix of the variables of the book of alerts, and their tag."""

CHECK_SETUP = deployment("check-setup")
DEPLOYMENTS = (
    Deployment(deployment("daily-sales"), LOAD, scheduled=True),
    Deployment(deployment("backfill"), LOAD),
    Deployment(CHECK_SETUP, OPS),
    Deployment(deployment("rollback"), OPS),
    Deployment(deployment("replay-rejected"), LOAD),
    Deployment(deployment("reconcile"), LOAD, scheduled=True),
    Deployment(deployment("list-rejected"), OPS, scheduled=True),
    Deployment(deployment("clean-staging"), OPS, scheduled=True),
    Deployment(deployment("watchdog"), OPS, scheduled=True),
    Deployment(deployment("send-alert"), OPS),
    Deployment(deployment("alert-drill"), OPS, scheduled=True),
)
