"""What this project's things are called on a Prefect server.

Several environments can share a server: production, staging and so on; RETAIL_SALES_ENVIRONMENT says to which one this
process belongs. Production's names are the plain ones; those of another environment carry its name.
"""

import os
import re
from dataclasses import dataclass

from expectations.regions import REGIONS

PRODUCTION = "production"
VARIABLE_OF_SHELL = "RETAIL_SALES_ENVIRONMENT"
RESERVED = ("admin",)
"""Production's block of the warehouse's administrator ends so."""


def read_environment(text: str | None) -> str:
    """The environment's name; production where none is given. Raises ValueError saying what a name looks like."""
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


@dataclass(frozen=True)
class Queue:
    """A queue of the pool; `limit` is how many of its runs go on side by side, None for any number."""

    name: str
    limit: int | None
    priority: int
    description: str


@dataclass(frozen=True)
class Deployment:
    """A deployment that has to be there, and the queue that it has to sit in."""

    name: str
    queue: str
    scheduled: bool = False


def of(name: str, environment: str = ENVIRONMENT) -> str:
    """A name as the environment carries it: of a block, a pool, a tag, an event."""
    return name if environment == PRODUCTION else f"{name}-{environment}"


def variable(name: str) -> str:
    """A Prefect variable's name on the server: Prefect takes no hyphen there."""
    return of(name).replace("-", "_")


def deployment(flow: str) -> str:
    """A deployment of a flow, as `<flow>/<environment>`."""
    return f"{flow}/{ENVIRONMENT}"


def database(region: str) -> str:
    """The block of a region's database."""
    return of(REGIONS[region].block)


PROJECT = "retail-sales"
TITLE = PROJECT if ENVIRONMENT == PRODUCTION else f"{PROJECT} {ENVIRONMENT}"
"""How alerts and automations begin."""
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
STAGING_BUCKET = of("sales-staging")
STAGING_CREDENTIALS = of("sales-staging")
TOKEN_KEY = of("sales-token-key")
ALERT_MAIL = of("sales-alerts")
NOTIFICATION = of("retail-sales-alerts")
ALERT_ENTRY, ALERT_TAG = variable("alert"), of("retail-sales-alert")
"""How the variables of the book of alerts begin, and their tag."""

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
