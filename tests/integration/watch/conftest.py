"""The project deployed on the stack's Prefect server, and an empty mailbox."""

import mailbox
import os
from collections.abc import Iterator
from email.message import Message

import pytest
from prefect import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.utilities.asyncutils import sync_compatible

from deployments.apply import apply
from flows.send_alert import send_alert
from local.environment import state_dir
from tasks.alerts.variable_book import VariableBook
from tests.integration.conftest import World
from tests.integration.server import events_enabled


@pytest.fixture(scope="session")
def deployed(world: World) -> World:
    """Pool, queues, deployments and automations are there; in the sources, no sales but those of the real year."""
    with events_enabled():
        apply(os.environ, lambda _: None)
    world.tidy()
    return world


@pytest.fixture(scope="module", autouse=True)
def _automations_enabled() -> Iterator[None]:
    with events_enabled():
        yield


@pytest.fixture(scope="module", autouse=True)
def _nothing_mailed_before(world: World) -> None:
    world.forget_staged()
    forget_mails_and_alerts()


def forget_mails_and_alerts() -> None:
    """An empty mailbox, an empty book of alerts, and no run of send-alert: alerts that no worker has begun for long are
    mailed from outside, those of earlier tests, too."""
    _forget_alert_runs()
    mailbox.Maildir(state_dir() / "mail").clear()
    book = VariableBook()
    for entry in book.entries():
        book.remove(entry)


@sync_compatible
async def _forget_alert_runs() -> None:
    of_send_alert = FlowFilter(name=FlowFilterName(any_=[send_alert.name]))
    async with get_client() as client:
        while runs := await client.read_flow_runs(flow_filter=of_send_alert):
            for run in runs:
                await client.delete_flow_run(run.id)


def subjects() -> list[str]:
    """The subjects of the mails that have arrived, in order of their text."""
    return sorted(" ".join(str(mail["Subject"]).split()) for mail in mails())


def mails() -> list[Message]:
    return list(mailbox.Maildir(state_dir() / "mail"))


def body_of(mail: Message) -> str:
    (part,) = [part for part in mail.walk() if not part.is_multipart()]
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()
