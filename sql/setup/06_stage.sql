-- Guarantees: the external stage points at the staging bucket. Made once and altered: one that is made anew loses its
-- grants. Without a storage integration given, that of the stage stays.
CREATE STAGE IF NOT EXISTS STAGING.SALES_STAGE
    URL = ${stage_url}
    ${stage_integration}
    COMMENT = 'Staged batches; one folder per attempt';

ALTER STAGE STAGING.SALES_STAGE SET URL = ${stage_url} ${stage_integration};
