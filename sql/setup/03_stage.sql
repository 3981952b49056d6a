-- Guarantees: the external stage points at the staging bucket and the file format reads timestamps by their logical type.
CREATE FILE FORMAT IF NOT EXISTS STAGING.SALES_PARQUET
    TYPE = PARQUET
    USE_LOGICAL_TYPE = TRUE
    COMMENT = 'Parquet with UTC timestamps and decimals as logical types';

CREATE OR REPLACE STAGE STAGING.SALES_STAGE
    URL = ${stage_url}
    ${stage_integration}
    COMMENT = 'Staged batches; one folder per attempt';
