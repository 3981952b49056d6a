-- Guarantees: the external stage points at the staging bucket. Created once and altered: a recreated stage loses its
-- grants. Without a storage integration given, the stage keeps its own.
CREATE STAGE IF NOT EXISTS STAGING.SALES_STAGE
    URL = ${stage_url}
    ${stage_integration}
    COMMENT = 'Staged batches; one folder per attempt';

ALTER STAGE STAGING.SALES_STAGE SET URL = ${stage_url} ${stage_integration};
