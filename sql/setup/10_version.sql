-- Guarantees: code of another version refuses to write, and from here on every version that leaves the fact table is
-- kept.
-- Runs last, when everything is as this version has it.
UPDATE ANALYTICS.ETL_LOCK
SET TABLES_VERSION = ${tables_version}, PAST_SINCE = COALESCE(PAST_SINCE, ORDINAL);
