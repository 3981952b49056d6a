-- Guarantees: loads the named files whole or not at all; no other file below the path is read. Texts are loaded
-- unchanged: without NULL_IF = (), \N would become NULL.
COPY INTO ${table}
FROM @STAGING.SALES_STAGE/${path}/
FILES = (${files})
FILE_FORMAT = (TYPE = 'PARQUET' USE_LOGICAL_TYPE = TRUE USE_VECTORIZED_SCANNER = FALSE NULL_IF = ())
MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE
ON_ERROR = ABORT_STATEMENT
FORCE = TRUE
PURGE = FALSE
