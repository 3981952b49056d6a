"""Settings of the reader's role and database: a region is read the same with each of them."""

from pathlib import Path

import pytest

from local.postgres import DATABASE, READER
from tasks.batch import Keys
from tests.integration.sources.clusters import Cluster
from tests.integration.sources.interleaving import read_during
from tests.integration.sources.reading import read, read_keys, read_rows
from tests.unit.sales import read_table

SETTINGS = {
    "quote_all_identifiers": "on",
    "extra_float_digits": "-15",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "DateStyle": "SQL, DMY",
    "TimeZone": "Asia/Kolkata",
    "timezone_abbreviations": "India",
    "client_encoding": "LATIN1",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "row_security": "on",
    "transform_null_equals": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "on",
    "gin_fuzzy_search_limit": "1",
    "lc_monetary": "C.UTF-8",
    "xmlbinary": "hex",
    "plan_cache_mode": "force_generic_plan",
}
"""Each differs from a server's default, or from what the reading needs."""

EXTRA_COLUMNS = {
    "ratio": ("float8", "0.1::float8 + 0.2::float8"),
    "small_ratio": ("float4", "'0.1'"),
    "pause": ("interval", "'-1 year 2 months 3 days 04:05:06.7'"),
    "raw": ("bytea", r"'\x005cff41'"),
    "price": ("money", "'1234.5'"),
    "seen": ("timestamptz", "'2024-02-03 04:05:06.789+00'"),
    "seen_here": ("timestamp", "'2024-02-03 04:05:06.789'"),
    "day": ("date", "'2024-02-03'"),
    "source": ("regclass", "'pg_class'"),
    "kinds": ("text[]", "ARRAY['NULL', NULL, 'ä']"),
    "notes": ("jsonb", """'{"a": [1.50, null]}'"""),
}
"""Types and values of columns beyond the contract, whose text a session's settings can change."""

KEYS = ("quo'te", "back\\slash", "Brötchen ✓")


@pytest.fixture
def sales(cluster: Cluster) -> Cluster:
    columns = ", ".join(f"ADD {name} {kind} DEFAULT {value}" for name, (kind, value) in EXTRA_COLUMNS.items())
    cluster.execute(f"ALTER TABLE sales_transactions {columns}")
    cluster.insert(*({"sale_id": key, "product_category": key} for key in KEYS))
    cluster.insert({"sale_id": "not a number", "total_amount": "NaN", "updated_at": "infinity"})
    return cluster


def _quoted(value: str) -> str:
    """DateStyle is a list of words, which are not quoted."""
    return value if "," in value else f"'{value}'"


@pytest.mark.parametrize("name", SETTINGS)
def test_a_region_is_read_the_same_with(sales: Cluster, tmp_path: Path, name: str) -> None:
    extra = dict.fromkeys(EXTRA_COLUMNS, "plain")
    by_window = read_rows(sales.url(), tmp_path, extra)
    by_keys = read_table(*read(sales.url(), tmp_path, extra, Keys(KEYS)).paths)
    assert (by_window.num_rows, by_keys.num_rows) == (len(KEYS) + 1, len(KEYS))
    sales.execute(f"ALTER ROLE {READER} SET {name} = {_quoted(SETTINGS[name])}")
    assert read_rows(sales.url(), tmp_path, extra) == by_window
    assert read_table(*read(sales.url(), tmp_path, extra, Keys(KEYS)).paths) == by_keys


def test_a_short_statement_timeout_of_the_role_gives_way(sales: Cluster, tmp_path: Path) -> None:
    sales.execute("ALTER TABLE sales_transactions RENAME TO stored")
    sales.execute("CREATE VIEW sales_transactions AS SELECT stored.* FROM stored, pg_sleep(0.3)")
    sales.execute(f"GRANT SELECT ON sales_transactions TO {READER}")
    sales.execute(f"ALTER ROLE {READER} SET statement_timeout = 200")
    assert len(read_keys(sales.url(), tmp_path)) == len(KEYS) + 1


def test_a_short_lock_timeout_of_the_role_gives_way(sales: Cluster, tmp_path: Path) -> None:
    sales.execute(f"ALTER ROLE {READER} SET lock_timeout = 200")
    waited = "SELECT 1 FROM pg_locks WHERE NOT granted AND clock_timestamp() - waitstart > '300 ms'"
    change = "LOCK TABLE sales_transactions IN ACCESS EXCLUSIVE MODE"
    assert len(read_during(sales, change, tmp_path, waits=waited)) == len(KEYS) + 1


def test_settings_of_the_database_are_no_different(sales: Cluster, tmp_path: Path) -> None:
    before = read_rows(sales.url(), tmp_path, dict.fromkeys(EXTRA_COLUMNS, "plain"))
    for name, value in SETTINGS.items():
        sales.execute(f"ALTER DATABASE {DATABASE} SET {name} = {_quoted(value)}")
    assert read_rows(sales.url(), tmp_path, dict.fromkeys(EXTRA_COLUMNS, "plain")) == before
