"""What the shell sets beside the blocks is ignored, named, and given to processes that look at it themselves."""

import pytest
from prefect_aws import AwsCredentials

from blocks import shell


@pytest.fixture(autouse=True)
def _nothing_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "_REMOVED", {})


def test_what_is_ignored_is_named_without_its_value_and_can_be_given_on() -> None:
    environment = {"PGPASSWORD": "secret", "PGSSLMODE": "require", "PATH": "/bin"}
    shell.ignore(shell.LIBPQ, environment)
    assert environment == {"PATH": "/bin"}
    assert shell.describe_ignored() == "ignored from the shell, the blocks decide: PGPASSWORD, PGSSLMODE"
    assert shell.as_given(environment) == {"PGPASSWORD": "secret", "PGSSLMODE": "require", "PATH": "/bin"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({}, "127.0.0.1,localhost,::1", id="none"),
        pytest.param(
            {"NO_PROXY": "prefect.internal, s3.internal"},
            "prefect.internal,s3.internal,127.0.0.1,localhost,::1",
            id="capitals",
        ),
        pytest.param({"no_proxy": "localhost"}, "localhost,127.0.0.1,::1", id="small"),
        pytest.param({"NO_PROXY": "a", "no_proxy": "b"}, "a,b,127.0.0.1,localhost,::1", id="both"),
        pytest.param({"NO_PROXY": "*"}, "*", id="all"),
    ],
)
def test_both_spellings_of_no_proxy_have_the_hosts_of_both(before: dict[str, str], after: str) -> None:
    environment = dict(before)
    shell.keep_off_proxies(environment)
    assert environment == {"NO_PROXY": after, "no_proxy": after}


def test_a_block_without_keys_stands_for_the_role_of_the_machine() -> None:
    environment = {"AWS_PROFILE": "loads", "AWS_ROLE_ARN": "arn:aws:iam::1:role/x"}
    shell.ignore_beside(AwsCredentials(), environment)
    assert environment == {"AWS_PROFILE": "loads", "AWS_ROLE_ARN": "arn:aws:iam::1:role/x"}


def test_beside_a_block_with_keys_only_what_differs_is_ignored() -> None:
    block = AwsCredentials(aws_access_key_id="key", aws_secret_access_key="secret", region_name="eu-central-1")
    own = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "eu-central-1"}
    environment = {**own, "AWS_PROFILE": "nobody"}
    shell.ignore_beside(block, environment)
    assert environment == own
    environment = {**own, "AWS_ACCESS_KEY_ID": "of somebody else"}
    shell.ignore_beside(block, environment)
    assert environment == {name: value for name, value in own.items() if name != "AWS_ACCESS_KEY_ID"}
    without_region = AwsCredentials(aws_access_key_id="key", aws_secret_access_key="secret")
    environment = dict(own)
    shell.ignore_beside(without_region, environment)
    assert environment == own
