"""The block by which the server itself sends notifications, chosen by environment variables.

| environment variable | becomes |
|---|---|
| `ALERT_SLACK_WEBHOOK_URL` | SlackWebhook block `retail-sales-alerts` |
| `ALERT_WEBHOOK_URL` | CustomWebhookNotificationBlock of that name: a POST of `{"subject": ..., "body": ...}` |
| `ALERT_NOTIFICATION_BLOCK` | the block that it names, `<type>/<name>`: Teams, PagerDuty ...; `none` for no block |

With none of them, the block that our automations already use stays.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from prefect import PrefectClient
from prefect.blocks.core import Block
from prefect.blocks.notifications import CustomWebhookNotificationBlock, SlackWebhook
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import Automation
from prefect.exceptions import ObjectNotFound

from blocks import names
from blocks.register import Environment, MissingSettingError, save_block
from deployments.applied import Applied, DeployError

BLOCK_NAME = names.NOTIFICATION
VARIABLES = ("ALERT_SLACK_WEBHOOK_URL", "ALERT_WEBHOOK_URL", "ALERT_NOTIFICATION_BLOCK")
NONE = "none"


@dataclass(frozen=True)
class Choice:
    """A block to save, or the `<type>/<name>` of one that exists; neither: no notification. `keep` the present one."""

    block: Block | None = None
    reference: str | None = None
    keep: bool = False


def notification_choice(environment: Environment) -> Choice:
    """Returns the choice of the environment. Raises MissingSettingError naming the variable that is unusable."""
    given = {name: value for name in VARIABLES if (value := environment.get(name, "").strip())}
    if len(given) > 1:
        raise MissingSettingError(f"{' and '.join(given)} are both set: set one of them")
    if not given:
        return Choice(keep=True)
    [(name, value)] = given.items()
    if name == "ALERT_NOTIFICATION_BLOCK":
        return Choice(reference=None if value == NONE else _reference(value))
    if not value.startswith(("https://", "http://")):
        raise MissingSettingError(f"{name} is no URL: give it as https://...")
    if name == "ALERT_SLACK_WEBHOOK_URL":
        return Choice(SlackWebhook(url=value))
    message = {"subject": "{{subject}}", "body": "{{body}}"}
    return Choice(CustomWebhookNotificationBlock(name=BLOCK_NAME, url=value, json_data=message))


def _reference(value: str) -> str:
    slug, _, name = value.partition("/")
    if not slug or not name:
        form = "<block type>/<block name>, like ms-teams-webhook/alerts, or as none"
        raise MissingSettingError(f"ALERT_NOTIFICATION_BLOCK is {value!r}: give it as {form}")
    return value


def save_choice(choice: Choice) -> tuple[Choice, Applied | None]:
    """Saves the block, if there is one to save; returns the choice as a reference."""
    if choice.block is None:
        return choice, None
    reference = f"{choice.block.get_block_type_slug()}/{BLOCK_NAME}"
    return Choice(reference=reference), Applied("block", reference, save_block(choice.block, BLOCK_NAME))


async def find_block(client: PrefectClient, choice: Choice, ours: Iterable[Automation]) -> tuple[UUID | None, str]:
    """Returns the id of the block and its reference, or `none`. Raises DeployError when there is no such block, or it
    cannot notify."""
    if choice.keep:
        return await _find_used(client, ours)
    if choice.reference is None:
        return None, NONE
    slug, _, name = choice.reference.partition("/")
    try:
        document = await client.read_block_document_by_name(name, slug)
    except ObjectNotFound:
        raise DeployError(
            f"block {choice.reference} does not exist: create it in the dashboard, or correct ALERT_NOTIFICATION_BLOCK"
        ) from None
    if "notify" not in document.block_schema.capabilities:
        raise DeployError(
            f"block {choice.reference} cannot notify: name a notification block in ALERT_NOTIFICATION_BLOCK"
        )
    return document.id, choice.reference


async def _find_used(client: PrefectClient, ours: Iterable[Automation]) -> tuple[UUID | None, str]:
    """The block of our automations; of several, the first that exists."""
    actions = [action for one in ours for action in one.actions if isinstance(action, SendNotification)]
    for block_id in dict.fromkeys(action.block_document_id for action in actions):
        with suppress(ObjectNotFound):
            document = await client.read_block_document(block_id)
            return block_id, f"{document.block_type.slug}/{document.name}"
    if actions:
        raise DeployError(
            "the notification block of our automations was deleted: set ALERT_SLACK_WEBHOOK_URL or ALERT_WEBHOOK_URL, "
            f"or ALERT_NOTIFICATION_BLOCK to another block or to {NONE}"
        )
    return None, NONE
