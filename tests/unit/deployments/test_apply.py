"""`make deploy` names its server without the password."""

from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments import apply
from deployments.applied import DeployError

SHOWN = "http://***@127.0.0.1:9/api"


@pytest.fixture(autouse=True)
def _with_password() -> Iterator[None]:
    with temporary_settings(updates={PREFECT_API_URL: "http://somebody:hunter2@127.0.0.1:9/api"}):
        yield


def test_one_that_does_not_answer() -> None:
    with pytest.raises(DeployError) as caught:
        apply.check_server()
    assert str(caught.value).startswith(f"no Prefect server answers at PREFECT_API_URL={SHOWN} (ConnectError): ")


def test_one_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(_: str) -> None: ...

    monkeypatch.setattr(apply, "_check_server", answer)
    assert apply.check_server() == SHOWN
