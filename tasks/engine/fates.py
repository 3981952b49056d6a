"""A region's rows on an engine: which broke a rule, which are older versions, and what stays."""

import narwhals as nw
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 (the name that PySpark's own documentation uses)

from expectations.derived import VERSION_ORDER, business_key, clean_columns
from expectations.rules import RULES, UNREADABLE, Origin, Spellings, codes_of, readable_named, rule_columns
from expectations.tables import CLEAN_SCHEMA, REJECTED_SCHEMA, REJECTED_SOURCE_COLUMNS
from tasks.errors import RegionUnfitError
from tasks.transform import RULE_SEPARATOR

SPELLINGS_MAX = 10_000
"""Different spellings of `region` that a region may have: they pass through the worker."""

RULES_BROKEN = "rules"
"""Column of the judged rows: the ids of the rules that the row broke, blank-separated; empty for a valid row."""

AGE = "age"
"""Column of the judged rows: 1 for the newest valid version of its key, 2 for the one before it, ..."""


def spellings_of(rows: DataFrame, region: str) -> Spellings:
    """The spellings of `region` in the rows, with their codes. Raises RegionUnfitError when there are too many."""
    found = rows.select("region").distinct().limit(SPELLINGS_MAX + 1).collect()
    if len(found) > SPELLINGS_MAX:
        raise RegionUnfitError(
            f"{region}: column region has more than {SPELLINGS_MAX:,} different values: look at the source"
        )
    return codes_of(row[0] for row in found if row[0] is not None)


def judged(rows: DataFrame, origin: Origin, spellings: Spellings) -> DataFrame:
    """The rows as read (EXTRACTED_SCHEMA), with RULES_BROKEN and AGE."""
    broken = rule_columns(origin, spellings)
    ids = [nw.when(broken[rule.id].fill_null(False)).then(nw.lit(rule.id)) for rule in RULES]
    listed = nw.concat_str(*ids, separator=RULE_SEPARATOR, ignore_nulls=True)
    with_rules = nw.from_native(rows).with_columns(readable_named()).with_columns(listed.alias(RULES_BROKEN))
    newest_first = [F.col(name).desc_nulls_last() for name in VERSION_ORDER]
    of_key = Window.partitionBy("sale_id", F.col(RULES_BROKEN) == "").orderBy(newest_first)
    return with_rules.to_native().withColumn(AGE, F.row_number().over(of_key))


def rejected(of: DataFrame, origin: Origin) -> DataFrame:
    """The rejected rows of judged ones, in REJECTED_SCHEMA: every cell as text (docs/rules.md says how)."""
    broken = of.filter(F.col(RULES_BROKEN) != "")
    keyed = nw.from_native(broken).with_columns(
        region_code=nw.lit(origin.region.code), sale_key=business_key(origin.region), version_at=nw.col("updated_at")
    )
    texts = {name: _as_text(broken, name) for name in REJECTED_SOURCE_COLUMNS}
    return keyed.to_native().withColumns(texts).select(REJECTED_SCHEMA.names)


def _as_text(rows: DataFrame, name: str) -> F.Column:
    """The cell as PostgreSQL writes it; the source's own text where its type cannot hold it."""
    text = F.col(name).cast("string")
    written = F.concat(text, F.lit("+00")) if rows.schema[name].dataType.typeName() == "timestamp" else text
    return F.coalesce(F.get_json_object(F.col(UNREADABLE), f"$.{name}"), written)


def valid(of: DataFrame) -> DataFrame:
    """The valid rows of judged ones."""
    return of.filter(F.col(RULES_BROKEN) == "")


def clean(of: DataFrame, origin: Origin) -> DataFrame:
    """The newest versions of the valid rows of judged ones, in CLEAN_SCHEMA."""
    newest = nw.from_native(valid(of).filter(F.col(AGE) == 1))
    return newest.with_columns(**clean_columns(origin.region)).to_native().select(CLEAN_SCHEMA.names)


def fate() -> F.Column:
    """The fate of a judged row: rejected, clean or duplicate."""
    return F.when(F.col(RULES_BROKEN) != "", "rejected").when(F.col(AGE) == 1, "clean").otherwise("duplicate")
