"""The form of a region's source table (plain, partitioned, inherited, view), and whether it shows all of its rows.
Knows no Prefect."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from expectations.regions import Region
from tasks.errors import RegionUnfitError, TransientError
from tasks.source.statements import Declared, quote_postgres

TABLE, PARTITIONED, VIEW, MATERIALIZED, FOREIGN = "r", "p", "v", "m", "f"
KINDS = {
    TABLE: "a table",
    PARTITIONED: "a partitioned table",
    VIEW: "a view",
    MATERIALIZED: "a materialized view",
    FOREIGN: "a foreign table",
    "S": "a sequence",
    "i": "an index",
    "I": "an index",
    "c": "a type",
    "t": "a TOAST table",
}
"""pg_class.relkind in words (https://www.postgresql.org/docs/current/catalog-pg-class.html)."""

DECLARED_COLUMNS = """
WITH RECURSIVE declared (position, name, type, modifier, is_required) AS (
  SELECT attnum, attname, atttypid, atttypmod, attnotnull
  FROM pg_attribute
  WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
  UNION ALL
  SELECT position, name, typbasetype, typtypmod, is_required
  FROM declared JOIN pg_type ON pg_type.oid = type
  WHERE typtype = 'd'
)
SELECT name, CASE typtype WHEN 'e' THEN 'enum' ELSE format_type(type, NULLIF(modifier, -1)) END, is_required
FROM declared JOIN pg_type ON pg_type.oid = type
WHERE typtype <> 'd'
ORDER BY position
"""
"""Name and type of each column, like `numeric(12,2)`: the base type of a domain, `enum` for every enum; and whether it
is NOT NULL."""

RELATIONS = """
WITH RECURSIVE beneath (relation) AS (
  SELECT to_regclass(%s)::oid
  UNION
  SELECT part
  FROM beneath
  JOIN pg_class ON pg_class.oid = relation
  CROSS JOIN LATERAL (
    SELECT inhrelid FROM pg_inherits WHERE inhparent = relation
    UNION ALL
    SELECT refobjid
    FROM pg_rewrite
    JOIN pg_depend ON classid = 'pg_rewrite'::regclass AND objid = pg_rewrite.oid
    WHERE ev_class = relation AND relkind = 'v' AND refclassid = 'pg_class'::regclass AND refobjid <> relation
  ) AS parts (part)
)
SELECT
  relation::regclass::text,
  relkind::text,
  relrowsecurity,
  relkind IN ('r', 'm') AND relfilenode IS DISTINCT FROM pg_relation_filenode(relation)
FROM beneath
JOIN pg_class ON pg_class.oid = relation
ORDER BY relation <> to_regclass(%s)::oid, 1
"""
"""The table itself first, then every relation that its rows come from: partitions, children, the tables of a view. The
last column is true when a relation was rewritten (TRUNCATE, ALTER, REFRESH) after the snapshot: pg_class is read in the
snapshot, pg_relation_filenode() reads the present state."""

HAS_CTID = """
SELECT count(*) = 2
FROM pg_attribute
WHERE attrelid = to_regclass(%s)
  AND attname IN ('ctid', 'tableoid')
  AND has_column_privilege(attrelid, attnum, 'SELECT')
"""
"""Whether the place of each row can be read: the rows of a view have none, and rights on single columns leave it
out."""


@dataclass(frozen=True)
class Relation:
    """The source table, or one that its rows come from. `name` is quoted, with its schema where the search path does
    not find it."""

    name: str
    kind: str
    has_row_security: bool
    is_rewritten: bool

    @property
    def in_words(self) -> str:
        return KINDS.get(self.kind, f"of kind {self.kind!r}")


@dataclass(frozen=True)
class SourceTable:
    """A source table as one snapshot shows it. `sql` is its quoted name; `relations` begin with the table itself;
    `required` are the columns that are NOT NULL; `has_ctid` when the place of each of its rows can be read."""

    name: str
    sql: str
    declared: Declared
    required: frozenset[str]
    relations: tuple[Relation, ...]
    has_ctid: bool

    @property
    def kind(self) -> str:
        """Its kind in words."""
        return self.relations[0].in_words

    def why_not_whole(self, region: Region) -> str | None:
        """Why the table may lack sales that exist; None when it shows all sales."""
        if self.relations[0].kind in (TABLE, PARTITIONED) or region.source_is_whole:
            return None
        return (
            f"{self.name} is {self.kind}, which may show a part of the sales: source_is_whole = true in "
            "expectations/regions.toml says that it shows all"
        )

    def why_behind(self, region: Region) -> str | None:
        """Why sales of a day that is over may not be in the table yet; None when it has what is committed."""
        stored = [relation.name for relation in self.relations if relation.kind == MATERIALIZED]
        if not stored or region.source_is_whole:
            return None
        beneath = "" if self.relations[0].kind == MATERIALIZED else f", beneath {self.name},"
        return (
            f"{', '.join(stored)}{beneath} is a materialized view, whose last refresh nobody knows: source_is_whole = "
            "true in expectations/regions.toml says that it is refreshed between the end of a day and its load"
        )


def name_of(region: Region) -> str:
    """The source table's name for people: `sales_transactions`, with the schema that the region names."""
    return f"{region.schema}.{region.table}" if region.schema else region.table


def sql_name_of(region: Region) -> str:
    """The source table's name for SQL, quoted."""
    parts = (region.schema, region.table) if region.schema else (region.table,)
    return ".".join(map(quote_postgres, parts))


def describe(cursor: Any, region: Region) -> SourceTable:
    """Returns the region's table in the snapshot of `cursor`. Raises RegionUnfitError when it is missing, or when the
    snapshot does not cover it or a part of it."""
    name, sql = name_of(region), sql_name_of(region)
    relations = read_relations(cursor, sql)
    if not relations:
        raise missing(name)
    refuse_unreadable(name, relations)
    cursor.execute(DECLARED_COLUMNS, (sql,))
    columns = cursor.fetchall()
    declared = {column: kind for column, kind, _ in columns}
    required = frozenset(column for column, _, required in columns if required)
    cursor.execute(HAS_CTID, (sql,))
    ((has_ctid,),) = cursor.fetchall()
    return SourceTable(name, sql, declared, required, relations, has_ctid)


def missing(name: str) -> RegionUnfitError:
    """The error for a missing table."""
    return RegionUnfitError(
        f"table {name} is missing or not visible: create it, grant its reader access, or name another schema and table "
        "in expectations/regions.toml"
    )


def read_relations(cursor: Any, sql: str) -> tuple[Relation, ...]:
    """Returns the table and every relation that its rows come from; nothing when the table does not exist."""
    cursor.execute(RELATIONS, (sql, sql))
    return tuple(Relation(*row) for row in cursor.fetchall())


def refuse_unreadable(name: str, relations: Sequence[Relation]) -> None:
    """Raises RegionUnfitError for relations without rows, and for foreign tables."""
    if relations[0].kind not in (TABLE, PARTITIONED, VIEW, MATERIALIZED, FOREIGN):
        raise RegionUnfitError(
            f"{name} is {relations[0].in_words}: name a table or a view in expectations/regions.toml"
        )
    for relation in relations:
        if relation.kind == FOREIGN:
            of = "" if relation is relations[0] else f", of which {name} is made,"
            raise RegionUnfitError(
                f"{relation.name}{of} is a foreign table: another database's rows are in no snapshot of this one; let "
                "the region's block name the database that holds them"
            )


def refuse_rewritten(cursor: Any, table: SourceTable) -> None:
    """Raises TransientError when a relation was rewritten after the snapshot, which lacks its new rows."""
    if rewritten := [relation.name for relation in read_relations(cursor, table.sql) if relation.is_rewritten]:
        raise TransientError(
            f"{', '.join(rewritten)} was rewritten (TRUNCATE, ALTER or REFRESH) while it was read: it is read again"
        )


def hidden_by_row_security(table: SourceTable) -> RegionUnfitError | None:
    """The error for a table whose policies would hide rows; None when no relation has policies."""
    guarded = [relation.name for relation in table.relations if relation.has_row_security]
    if not guarded:
        return None
    return RegionUnfitError(
        f"row security of {', '.join(guarded)} may hide rows from its reader, and a part is never taken for the whole: "
        "ALTER ROLE ... BYPASSRLS for the block's user, or let it read a view that the table's owner makes "
        '(table = "..." in expectations/regions.toml)'
    )
