"""Which notification block the environment asks for."""

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock, SlackWebhook

from blocks.register import MissingSettingError
from deployments.notification import BLOCK_NAME, Choice, notification_choice

HOOK = "https://hooks.example.com/T0/B0/secret"


def test_a_slack_webhook() -> None:
    block = notification_choice({"ALERT_SLACK_WEBHOOK_URL": HOOK}).block
    assert isinstance(block, SlackWebhook)
    assert block.url.get_secret_value() == HOOK


def test_any_webhook_gets_subject_and_body() -> None:
    block = notification_choice({"ALERT_WEBHOOK_URL": HOOK}).block
    assert isinstance(block, CustomWebhookNotificationBlock)
    assert (block.name, block.method, block.url) == (BLOCK_NAME, "POST", HOOK)
    request = block._build_request_args(body='a "body"', subject="a subject")
    assert request["json"] == {"subject": "a subject", "body": 'a "body"'}


@pytest.mark.parametrize(
    ("environment", "choice"),
    [
        ({"ALERT_NOTIFICATION_BLOCK": "ms-teams-webhook/alerts"}, Choice(reference="ms-teams-webhook/alerts")),
        ({"ALERT_NOTIFICATION_BLOCK": "none"}, Choice()),
        ({"ALERT_WEBHOOK_URL": " "}, Choice(keep=True)),
        ({}, Choice(keep=True)),
    ],
    ids=["one-that-exists", "none", "blank", "not-named"],
)
def test_other_choices(environment: dict[str, str], choice: Choice) -> None:
    assert notification_choice(environment) == choice


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"ALERT_WEBHOOK_URL": HOOK, "ALERT_SLACK_WEBHOOK_URL": HOOK}, "are both set: set one of them"),
        ({"ALERT_WEBHOOK_URL": "hooks.example.com/secret"}, "ALERT_WEBHOOK_URL is no URL: give it as https://..."),
        ({"ALERT_NOTIFICATION_BLOCK": "alerts"}, "ALERT_NOTIFICATION_BLOCK is 'alerts': give it as"),
        ({"ALERT_NOTIFICATION_BLOCK": "/alerts"}, "ALERT_NOTIFICATION_BLOCK is '/alerts': give it as"),
    ],
    ids=["two", "no-url", "no-type", "empty-type"],
)
def test_an_unusable_choice_is_named_without_its_secret(environment: dict[str, str], message: str) -> None:
    with pytest.raises(MissingSettingError) as caught:
        notification_choice(environment)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)
