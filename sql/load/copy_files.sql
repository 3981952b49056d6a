-- Guarantees: loads the named files whole or not at all; every other file below the path is left alone.
COPY INTO ${table}
FROM @STAGING.SALES_STAGE/${path}/
FILES = (${files})
FILE_FORMAT = (TYPE = 'PARQUET' USE_LOGICAL_TYPE = TRUE)
MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE
ON_ERROR = ABORT_STATEMENT
FORCE = TRUE
PURGE = FALSE
