"""The mail server out of the environment; no password is sent in clear."""

import pytest

from blocks.environment import MissingSettingError
from blocks.smtp import SmtpSettings, read_smtp_settings

USER = {"SMTP_HOST": "mail", "SMTP_USER": "etl", "SMTP_PASSWORD": "geheim"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"SMTP_HOST": " "}, None, id="blank"),
        pytest.param({"SMTP_HOST": "mail"}, SmtpSettings("mail", 25, "INSECURE"), id="relay"),
        pytest.param({"SMTP_HOST": "mail", "SMTP_PORT": "2525"}, SmtpSettings("mail", 2525, "INSECURE"), id="local"),
        pytest.param(USER, SmtpSettings("mail", 587, "STARTTLS", "etl", "geheim"), id="user"),
        pytest.param({**USER, "SMTP_PORT": "465"}, SmtpSettings("mail", 465, "SSL", "etl", "geheim"), id="ssl-port"),
        pytest.param(
            {**USER, "SMTP_PORT": "2465", "SMTP_TYPE": "ssl"},
            SmtpSettings("mail", 2465, "SSL", "etl", "geheim"),
            id="type-given",
        ),
    ],
)
def test_settings(environment: dict[str, str], expected: SmtpSettings | None) -> None:
    assert read_smtp_settings(environment) == expected
    assert "geheim" not in repr(read_smtp_settings(environment))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({"SMTP_PORT": "mail"}, "SMTP_PORT is 'mail'", id="port"),
        pytest.param({"SMTP_TYPE": "TLS"}, "SMTP_TYPE is 'TLS': give it as SSL, STARTTLS or INSECURE", id="type"),
        pytest.param({"SMTP_TYPE": "INSECURE"}, "with SMTP_USER, give it as STARTTLS or SSL", id="password-in-clear"),
        pytest.param({"SMTP_PASSWORD": ""}, "SMTP_PASSWORD is not set", id="no-password"),
    ],
)
def test_a_bad_setting_is_named(changes: dict[str, str], told: str) -> None:
    with pytest.raises(MissingSettingError) as caught:
        read_smtp_settings({**USER, **changes})
    assert told in str(caught.value)
    assert "geheim" not in str(caught.value)
