-- Guarantees: the external stage points at the staging bucket.
CREATE OR REPLACE STAGE STAGING.SALES_STAGE
    URL = ${stage_url}
    ${stage_integration}
    COMMENT = 'Staged batches; one folder per attempt';
