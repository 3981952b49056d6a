-- Guarantees: code of another version refuses to write. Runs last, when all is as this version has it.
UPDATE ANALYTICS.ETL_LOCK
SET TABLES_VERSION = ${tables_version};
