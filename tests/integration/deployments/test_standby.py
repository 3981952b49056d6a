"""A region read from a standby that lags, from its first load to the mail and the backfill that loads it."""

import mailbox
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from email.message import Message
from pathlib import Path

import pytest

from blocks.register import database_block
from expectations.regions import REGIONS
from local.environment import state_dir
from tests.integration.conftest import World, wait_for
from tests.integration.deployments.conftest import Operator
from tests.integration.packages import require_faketime
from tests.integration.processes import run_python
from tests.integration.sources.clusters import REGION, Cluster, Standby, running_cluster, running_standby

pytestmark = pytest.mark.more

DAILY, BACKFILL = "daily-sales/production", "backfill/production"
LACKING = "lacking-column"
OTHERS = [region for region in REGIONS if region != REGION]
EARLY, LATE = ["early-1", "early-2", "early-3"], ["late-1", "late-2"]


@dataclass(frozen=True)
class Night:
    """Yesterday, and a region's primary and standby of which the standby shows the day until 22:00."""

    day: date
    primary: Cluster
    standby: Standby

    def sell(self, keys: list[str], hour: int) -> None:
        """Sales of that hour of the day, in the primary."""
        sold = datetime.combine(self.day, time(hour), tzinfo=UTC)
        self.primary.insert(*({"sale_id": key, "sale_date": sold, "updated_at": sold} for key in keys))

    def end(self) -> None:
        """The standby catches up with its primary, whose clock is right again and which goes on selling."""
        self.primary.set_clock_right()
        self.standby.lag("0")
        # It asks its primary again when it has applied what it has.
        wait_for(self.standby.receives, "the standby has a WAL receiver")
        now = datetime.now(UTC)
        self.primary.insert({"sale_id": "today", "sale_date": now, "updated_at": now})
        self.standby.catch_up()


@pytest.fixture
def night(operator: Operator, world: World, directory: Path) -> Iterator[Night]:
    """The region's block names the standby, and a run does not wait for it."""
    faketime = require_faketime()
    operator.clear_the_way()
    world.tidy()
    now = datetime.now(UTC)
    day = now.date() - timedelta(days=1)
    world.forget(day)
    world.fill(day, rows=50, regions=tuple(OTHERS))
    mailbox.Maildir(state_dir() / "mail").clear()
    with running_cluster(directory) as primary:
        primary.set_clock_back(faketime, now - datetime.combine(day, time(22), tzinfo=UTC))
        with running_standby(directory, primary) as standby, world.variable("replica_wait_minutes", "0"):
            night = Night(day, primary, standby)
            night.sell(EARLY, hour=21)
            standby.catch_up()
            standby.lag("10d")
            night.sell(LATE, hour=23)
            database_block({f"PG_{REGION}_URL": standby.url()}, REGION).save(REGIONS[REGION].block, overwrite=True)
            yield night
            database_block(world.environment, REGION).save(REGIONS[REGION].block, overwrite=True)
    world.tidy()
    world.forget(day)
    operator.forget_alert_runs()


def test_a_day_that_a_standby_shows_in_part_is_loaded_mailed_and_healed(
    operator: Operator, world: World, worker: None, night: Night
) -> None:
    assert "BAD" in (told := server_line(operator))
    assert "a standby that shows sales until " in told
    assert told.endswith(": it lags behind its primary")

    run = operator.finished(operator.start(DAILY, "-p", f"date={night.day}"))
    assert run["state_name"] == "Completed", run["state"]["message"]
    assert keys_of(world, night.day) == EARLY
    wait_for(lambda: anomalies(night.day), "the mail about the standby")
    (mail,) = anomalies(night.day)
    subject = " ".join(str(mail["Subject"]).split())
    assert subject.startswith(f"[retail-sales] {night.day} {REGION}: anomaly: standby: its")
    assert "lags behind its primary; the date is a gap until it is loaded again" in text_of(mail)

    night.end()
    assert server_line(operator).startswith(f"ok  source {REGION} server: a standby that shows sales until ")
    range_ = ("-p", f"start_date={night.day}", "-p", f"end_date={night.day}")
    healed = operator.finished(operator.start(BACKFILL, *range_))
    assert (healed["state_name"], healed["state"]["message"]) == ("Completed", "1 date loaded")
    assert keys_of(world, night.day) == EARLY + LATE
    # Only what was a gap is loaded again.
    assert runs_of(world, night.day) == {REGION: 2} | dict.fromkeys(OTHERS, 1)
    again = operator.finished(operator.start(BACKFILL, *range_))
    assert again["state"]["message"].startswith("nothing to load")


def server_line(operator: Operator) -> str:
    """What `make check` prints about the region's server."""
    quiet = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
    ran = run_python("-m", "flows.check_setup", environment=operator.environment | quiet)
    (line,) = [line for line in ran.stdout.splitlines() if f"source {REGION} server: " in line]
    return line


def keys_of(world: World, day: date) -> list[str]:
    """The region's keys that the day brought, sorted."""
    of_day = "SELECT SALE_ID FROM SALES_FACT WHERE ETL_BATCH_ID = ? AND REGION = ? ORDER BY 1"
    return [key for (key,) in world.sql(of_day, (f"{day:%Y%m%d}", REGION))]


def runs_of(world: World, day: date) -> dict[str, int]:
    """How often each region of the day was published."""
    published = "SELECT REGION, COUNT(*) FROM ETL_BATCHES WHERE BATCH_ID = ? AND STATUS = 'PUBLISHED' GROUP BY 1"
    return dict(world.sql(published, (f"{day:%Y%m%d}",)))


def anomalies(day: date) -> list[Message]:
    mails = mailbox.Maildir(state_dir() / "mail")
    return [mail for mail in mails if ": anomaly: " in str(mail["Subject"]) and str(day) in str(mail["Subject"])]


def text_of(mail: Message) -> str:
    """The plain text of a mail, its lines joined."""
    (part,) = [part for part in mail.walk() if not part.is_multipart()]
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return " ".join(payload.decode().split())


def test_a_column_that_a_source_lacks_is_mailed_once_though_every_run_meets_it(
    operator: Operator, world: World, worker: None, day: date
) -> None:
    operator.clear_the_way()
    mailbox.Maildir(state_dir() / "mail").clear()
    days = [day + timedelta(days=number) for number in range(3)]
    with world.variable("extra_columns", '{"phoen": "personal"}'):
        for number, of_run in enumerate(days, start=1):
            world.fill(of_run, rows=200, regions=(REGION,))
            run = operator.start(DAILY, "-p", f"date={of_run}", "-p", f'regions=["{REGION}"]')
            assert operator.finished(run)["state_name"] == "Completed"
            wait_for(lambda: len(ended_alerts(operator)) == number, "the end of the run of send-alert")  # noqa: B023
    (mail,) = [mail for of_run in days for mail in anomalies(of_run) if LACKING in str(mail["Subject"])]
    assert " ".join(str(mail["Subject"]).split()) == (
        f"[retail-sales] {days[0]} {REGION}: anomaly: lacking-column: phoen"
    )
    assert all("phoen was mailed before" in message for message in sorted(ended_alerts(operator))[1:])
    operator.forget_alert_runs()


def ended_alerts(operator: Operator) -> list[str]:
    """What the runs of send-alert have answered that were about the column; the days may be unusual besides."""
    ids = {"id": {"any_": [operator.deployment("send-alert/production")["id"]]}}
    runs = operator.filter("flow_runs", deployments=ids)
    return [
        run["state"]["message"]
        for run in runs
        if run["state_type"] == "COMPLETED" and LACKING in str(run["state"]["message"])
    ]
