"""The check of the engine names a Spark that is older than the worker's client."""

import pytest

from tasks.setup_checks import engine


@pytest.mark.parametrize(
    ("of_engine", "said"),
    [
        pytest.param(
            "4.0.1-amzn-0",
            "; older than pyspark-client 4.2.0 of the workers: give them the engine's version",
            id="older",
        ),
        pytest.param("4.2.0", "", id="the-same"),
        pytest.param("4.2.7", "", id="another-correction"),
        pytest.param("4.10.0", "", id="newer"),
    ],
)
def test_an_older_engine_is_named(of_engine: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "version", {"pyspark-client": "4.2.0"}.__getitem__)
    assert engine._older_than_client(of_engine) == said
