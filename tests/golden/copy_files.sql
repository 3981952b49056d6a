-- Guarantees: loads the named files whole or not at all; no other file below the path is read. Texts are loaded
-- unchanged: without NULL_IF = (), \N would become NULL.
COPY INTO STAGING.CLEAN_000042
FROM @STAGING.SALES_STAGE/sales/batch=20240115/run=000042/
FILES = ('clean/EUROPE-000.parquet', 'clean/US_EAST-000.parquet')
FILE_FORMAT = (TYPE = 'PARQUET' USE_LOGICAL_TYPE = TRUE USE_VECTORIZED_SCANNER = FALSE NULL_IF = ())
MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE
ON_ERROR = ABORT_STATEMENT
FORCE = TRUE
PURGE = FALSE
