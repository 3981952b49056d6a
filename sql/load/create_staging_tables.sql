-- Guarantees: four empty tables of this attempt alone, of which nothing is kept when they are dropped. DDL, so it runs
-- before the publish transaction.
CREATE TRANSIENT TABLE ${clean_table} (
    ${clean_column_definitions},
    SOURCE_REGION VARCHAR NOT NULL
)
DATA_RETENTION_TIME_IN_DAYS = 0;

CREATE TRANSIENT TABLE ${rejected_table} (
    ${rejected_column_definitions}
)
DATA_RETENTION_TIME_IN_DAYS = 0;

CREATE TRANSIENT TABLE ${standing_table} (
    ${undo_column_definitions},
    ${load_column_definitions}
)
DATA_RETENTION_TIME_IN_DAYS = 0;

CREATE TRANSIENT TABLE ${fates_table} (
    REGION VARCHAR NOT NULL,
    SALE_ID VARCHAR NOT NULL,
    FATE VARCHAR NOT NULL
)
DATA_RETENTION_TIME_IN_DAYS = 0;
