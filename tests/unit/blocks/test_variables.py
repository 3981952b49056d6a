"""Variables are text in Prefect: each is read into its type, or refused in words that name it."""

import json
from dataclasses import fields
from datetime import date
from decimal import Decimal
from shlex import quote
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.variables import Variable

from blocks.variables import DEFINITIONS, BadVariableError, Settings, main, parse_variables
from expectations.thresholds import Thresholds

DEFAULTS = {definition.name: definition.default for definition in DEFINITIONS}


def parsed(name: str, text: str | None) -> Any:
    return parse_variables({**DEFAULTS, name: text})[name]


def test_the_defaults_are_those_of_the_documentation() -> None:
    values = parse_variables(DEFAULTS)
    assert values == {
        "alert_email_list": ("data-engineering@example.com",),
        "alert_sender": "retail-sales@example.com",
        "s3_staging_bucket": "retail-sales-staging",
        "snowflake_warehouse": "ETL_WH",
        "snowflake_watch_warehouse": "ETL_WATCH_WH",
        "min_record_count": 100,
        "min_region_record_count": 1,
        "max_null_percentage": Decimal("5.0"),
        "max_rejected_percentage": Decimal("5.0"),
        "closed_days": {},
        "first_date": None,
        "regions_required": (),
        "reconcile_days": 7,
        "replica_wait_minutes": 15,
        "source_timeout_minutes": 30,
        "extract_slices": 1,
        "staging_retention_days": 14,
        "undo_retention_days": 35,
        "prefect_retention_days": 30,
        "extra_columns": {},
        "lease_minutes": 15,
        "sla_minutes": 120,
        "report_base_url": "",
        "spark_remote": "",
        "spark_timeout_minutes": 60,
        "report_retention_days": 400,
    }


def test_thresholds_and_settings_have_a_variable_for_every_field() -> None:
    named = {field.name for field in (*fields(Settings), *fields(Thresholds))} - {"thresholds"}
    assert named <= DEFAULTS.keys()
    assert Thresholds(**{f.name: parse_variables(DEFAULTS)[f.name] for f in fields(Thresholds)}) == Thresholds()


def test_every_variable_is_described_in_a_sentence() -> None:
    assert all(definition.description.endswith(".") for definition in DEFINITIONS)
    assert len(DEFAULTS) == len(DEFINITIONS)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        pytest.param("alert_email_list", "a@x.com, b@x.com ,", ("a@x.com", "b@x.com"), id="two-addresses"),
        pytest.param("snowflake_warehouse", " ETL_WH ", "ETL_WH", id="blanks-around-a-name"),
        pytest.param("min_record_count", "0", 0, id="no-floor"),
        pytest.param("max_null_percentage", "0", Decimal(0), id="zero-percent"),
        pytest.param("max_null_percentage", "100", Decimal(100), id="hundred-percent"),
        pytest.param("max_rejected_percentage", "2.05", Decimal("2.05"), id="exact-percentage"),
        pytest.param(
            "closed_days",
            '{"EUROPE": ["2017-12-25", "2017-12-26"], "US_EAST": []}',
            {"EUROPE": frozenset({date(2017, 12, 25), date(2017, 12, 26)}), "US_EAST": frozenset()},
            id="closed-days",
        ),
        pytest.param("first_date", "2017-01-01", date(2017, 1, 1), id="first-date"),
        pytest.param("spark_remote", "sc://spark/;use_ssl=true", "sc://spark/;use_ssl=true", id="engine-by-tls"),
        *(
            pytest.param("spark_remote", address, address, id=f"engine-{name}")
            for name, address in (
                (
                    "token-in-a-parameter",
                    "sc://spark:443/;use_ssl=true;x-aws-proxy-auth={token};authorization=session-1",
                ),
                ("token-at-the-end", "sc://spark/;token={token}"),
                ("bearer", "sc://spark/;authorization=Bearer%20{token}"),
            )
        ),
        pytest.param("lease_minutes", "6", 6, id="a-lease-longer-than-its-renewal"),
        pytest.param("extract_slices", "8", 8, id="most-slices"),
        pytest.param("sla_minutes", "1", 1, id="shortest-sla"),
        pytest.param("regions_required", '["EUROPE"]', ("EUROPE",), id="required-region"),
        pytest.param(
            "extra_columns", '{"tier": "plain", "born": "personal"}', {"tier": "plain", "born": "personal"}, id="extra"
        ),
    ],
)
def test_good_values(name: str, text: str, value: Any) -> None:
    assert parsed(name, text) == value


COUNT = "a whole number, 0 or more, like 100"
AT_WORK = "a whole number, 2 or more, like 14"
LEASE = "a whole number, 6 or more: a lease is renewed every 5 minutes"
SPARK = "an address of Spark Connect, like sc://spark.example.com:15002, or nothing"
SLA = "a whole number, 1 or more, like 120"
SLICES = "a whole number, 1 to 8: "
PERCENTAGE = "a percentage from 0 to 100, like 5.0"
DAYS = 'like {"EUROPE": ["2017-12-25"]}'
REGIONS_LIST = 'like ["EUROPE"]'
CLASSES = 'like {"loyalty_tier": "plain", "birth_date": "personal"}'


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        pytest.param("s3_staging_bucket", "", "a name, not blank", id="empty-name"),
        pytest.param("snowflake_warehouse", "  ", "a name, not blank", id="blank-name"),
        pytest.param("spark_remote", "spark.example.com:15002", SPARK, id="engine-without-scheme"),
        pytest.param("spark_remote", "http://spark.example.com", SPARK, id="engine-by-http"),
        pytest.param("spark_remote", "sc://spark/;a=b;token=x", "address without token", id="engine-with-token"),
        pytest.param("spark_remote", "sc://spark/;x-aws-proxy-auth=x", "where a parameter", id="engine-with-aws-token"),
        pytest.param(
            "spark_remote", "sc://spark/;token={token}x", "address without token", id="engine-with-half-token"
        ),
        pytest.param("spark_remote", "sc://spark/;Authorization=Bearer%20x", "without token", id="engine-with-bearer"),
        pytest.param("spark_remote", "sc://", SPARK, id="engine-without-host"),
        pytest.param("min_record_count", "", COUNT, id="empty-count"),
        pytest.param("min_record_count", "-1", COUNT, id="negative-count"),
        pytest.param("min_record_count", "1.0", COUNT, id="count-with-decimals"),
        pytest.param("min_record_count", "1e3", COUNT, id="count-with-exponent"),
        pytest.param("min_record_count", "1_000", COUNT, id="count-with-underscore"),
        pytest.param("min_record_count", "hundred", COUNT, id="count-as-word"),
        pytest.param("min_record_count", "²", COUNT, id="superscript"),
        pytest.param("min_record_count", "１００", COUNT, id="full-width-digits"),
        pytest.param("min_record_count", "100\n", COUNT, id="count-with-line-end"),
        pytest.param("min_region_record_count", "0", "a whole number, 1 or more", id="no-rows-are-no-region"),
        pytest.param("staging_retention_days", "1", AT_WORK, id="what-runs-may-still-need"),
        pytest.param("undo_retention_days", "0", AT_WORK, id="no-rollback"),
        pytest.param("lease_minutes", "0", LEASE, id="no-lease"),
        pytest.param("lease_minutes", "5", LEASE, id="a-lease-that-lapses-before-its-renewal"),
        pytest.param("lease_minutes", "fifteen", LEASE, id="lease-as-word"),
        pytest.param("extract_slices", "0", SLICES, id="no-slice"),
        pytest.param("extract_slices", "9", SLICES, id="more-slices-than-there-may-be"),
        pytest.param("sla_minutes", "0", SLA, id="no-sla"),
        pytest.param("sla_minutes", "२", SLA, id="devanagari-digit"),
        pytest.param("max_null_percentage", "five", PERCENTAGE, id="percentage-as-word"),
        pytest.param("max_null_percentage", "5%", PERCENTAGE, id="percent-sign"),
        pytest.param("max_null_percentage", "5,0", PERCENTAGE, id="decimal-comma"),
        pytest.param("max_null_percentage", "-0.1", PERCENTAGE, id="negative-percentage"),
        pytest.param("max_null_percentage", "100.1", PERCENTAGE, id="above-100"),
        pytest.param("max_null_percentage", "NaN", PERCENTAGE, id="nan"),
        pytest.param("max_null_percentage", "sNaN", PERCENTAGE, id="signalling-nan"),
        pytest.param("max_null_percentage", "Infinity", PERCENTAGE, id="infinity"),
        pytest.param("max_null_percentage", "1_0", PERCENTAGE, id="percentage-with-underscore"),
        pytest.param("max_null_percentage", "1e1", PERCENTAGE, id="percentage-with-exponent"),
        pytest.param("max_null_percentage", "５.０", PERCENTAGE, id="full-width-percentage"),
        pytest.param("closed_days", "", DAYS, id="empty-json"),
        pytest.param("closed_days", '{"EUROPE": ["2017-W01-1"]}', DAYS, id="week-date"),
        pytest.param("closed_days", '{"EUROPE": ["20171225"]}', DAYS, id="date-without-hyphens"),
        pytest.param("closed_days", '{"EUROPE": ["2017-02-30"]}', DAYS, id="no-such-closed-day"),
        pytest.param("closed_days", '{"EUROPE": ""}', DAYS, id="empty-text-for-list"),
        pytest.param("closed_days", '{"EUROPE": {"2017-12-25": 1}}', DAYS, id="object-for-list-of-days"),
        pytest.param("closed_days", "{", DAYS, id="broken-json"),
        pytest.param("closed_days", '["2017-12-25"]', DAYS, id="list-for-object"),
        pytest.param("closed_days", '{"EUROPE": "2017-12-25"}', DAYS, id="text-for-list"),
        pytest.param("closed_days", '{"EUROPE": ["25.12.2017"]}', DAYS, id="german-date"),
        pytest.param("closed_days", '{"EUROPE": [20171225]}', DAYS, id="number-for-date"),
        pytest.param("closed_days", '{"EUROPE": null}', DAYS, id="null-for-list"),
        pytest.param("closed_days", '{"MARS": ["2017-12-25"]}', "'MARS'", id="closed-days-of-an-unknown-region"),
        pytest.param("first_date", "2017-W01-1", "a day like 2017-01-01, or nothing", id="first-date-as-week"),
        pytest.param("first_date", "2017-02-30", "a day like 2017-01-01, or nothing", id="no-such-day"),
        pytest.param("regions_required", "EUROPE", REGIONS_LIST, id="plain-text-for-list"),
        pytest.param("regions_required", '{"EUROPE": 1}', REGIONS_LIST, id="object-for-list"),
        pytest.param(
            "regions_required", '["MARS"]', "known regions (US_EAST, US_WEST, EUROPE, ASIA_PACIFIC)", id="mars"
        ),
        pytest.param("regions_required", '[["EUROPE"]]', REGIONS_LIST, id="list-in-list"),
        pytest.param("regions_required", "[{}]", REGIONS_LIST, id="object-in-list"),
        pytest.param("extra_columns", '{"tier": "secret"}', CLASSES, id="unknown-class"),
        pytest.param("extra_columns", '{"tier": null}', CLASSES, id="no-class"),
        pytest.param("extra_columns", '{"tier": ["plain"]}', CLASSES, id="list-for-class"),
        pytest.param("extra_columns", '["tier"]', CLASSES, id="columns-without-class"),
        pytest.param("alert_email_list", "", "", id="nobody-gets-alerts"),
        pytest.param("alert_email_list", " , ", "", id="only-commas"),
        pytest.param("alert_email_list", "data engineering", "", id="no-address"),
        pytest.param("alert_sender", "", "one address, like a@example.com", id="no-sender"),
        pytest.param("alert_sender", "a@x.com, b@x.com", "one address, like a@example.com", id="two-senders"),
    ],
)
def test_bad_values_are_refused_with_name_value_and_what_is_expected(name: str, text: str, expected: str) -> None:
    with pytest.raises(BadVariableError) as caught:
        parsed(name, text)
    assert str(caught.value).startswith(f"variable {name} is {text!r}: expected ")
    assert expected in str(caught.value)


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_a_missing_variable_is_named_with_the_command_that_sets_it(definition: Any) -> None:
    with pytest.raises(BadVariableError) as caught:
        parsed(definition.name, None)
    assert f"variable {definition.name} is missing" in str(caught.value)
    assert f"`python -m blocks.variables {definition.name} {quote(definition.default)}` sets the default" in str(
        caught.value
    )


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, SimpleNamespace]:
    """Variables as a server would keep them; the commands on a real one: tests/integration/alerts."""
    store: dict[str, SimpleNamespace] = {}

    def keep(name: str, value: str, tags: list[str], overwrite: bool) -> None:
        assert overwrite
        store[name] = SimpleNamespace(value=value, tags=tags)

    monkeypatch.setattr(Variable, "set", keep)
    monkeypatch.setattr(Variable, "get", store.get)
    return store


def test_a_variable_is_checked_before_it_is_set(
    kept: dict[str, SimpleNamespace], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["min_record_count", "40"]) == 0
    for wrong in (["min_record_count", "many"], ["min_rows", "40"]):
        assert main(wrong) == 1
    assert {name: variable.value for name, variable in kept.items()} == {"min_record_count": "40"}
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("variable min_record_count is 'many': expected a whole number")
    assert lines[1].startswith("variable min_rows is unknown: choose from alert_email_list")


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(["min_record_count"], id="no-value"),
        pytest.param(["--back", "min_record_count", "40"], id="back-with-a-value"),
        pytest.param([], id="nothing"),
    ],
)
def test_an_incomplete_command_is_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(wrong)
    assert refused.value.code == 2


def test_what_was_there_before_is_put_back(kept: dict[str, SimpleNamespace]) -> None:
    main(["min_record_count", "100"])
    main(["--for-now", "min_record_count", "60"])
    main(["--for-now", "min_record_count", "40"])
    assert kept["min_record_count"].value == "40"
    assert main(["--back", "min_record_count"]) == 0
    assert kept["min_record_count"].value == "100"
    assert main(["--back", "min_record_count"]) == 1, "nothing is remembered any more"


def test_entries_are_added_and_taken_out_and_the_others_stay(
    kept: dict[str, SimpleNamespace], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["closed_days", '{"US_WEST": ["2024-12-25"]}'])
    assert main(["--add", "closed_days", '{"EUROPE": ["2024-12-26"], "US_WEST": ["2024-12-26"]}']) == 0
    assert json.loads(kept["closed_days"].value) == {"US_WEST": ["2024-12-25", "2024-12-26"], "EUROPE": ["2024-12-26"]}
    main(["extra_columns", '{"tier": "plain", "phone": "personal"}'])
    assert main(["--remove", "extra_columns", "tier"]) == 0
    assert json.loads(kept["extra_columns"].value) == {"phone": "personal"}
    assert main(["--remove", "extra_columns", "tier"]) == 1
    assert main(["--add", "closed_days", "[1]"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "variable extra_columns does not name 'tier': it names phone",
        "'[1]' cannot be added to variable closed_days: expected a JSON object",
    ]
