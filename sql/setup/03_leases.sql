-- Guarantees: renewed leases are in a separate table, and a view returns until when each run counts as alive. Only
-- adds: a warehouse of an earlier version goes on with it.
CREATE TABLE IF NOT EXISTS ANALYTICS.ETL_RENEWALS (
    RUN_NUMBER NUMBER(18,0) NOT NULL COMMENT 'Number of the attempt',
    RENEWED_AT TIMESTAMP_TZ(6) NOT NULL COMMENT 'When this row was written (UTC)',
    LEASE_UNTIL TIMESTAMP_TZ(6) NOT NULL COMMENT 'Until when the attempt counts as alive (UTC)'
)
COMMENT = 'What runs that take long have added to their leases; clean-staging removes it';

-- The first lease is in the ledger.
CREATE OR REPLACE VIEW ANALYTICS.ETL_LEASES COPY GRANTS AS
SELECT RUN_NUMBER, MAX(ENDS_AT) AS LEASE_UNTIL
FROM (
    SELECT RUN_NUMBER, LEASE_UNTIL AS ENDS_AT
    FROM ANALYTICS.ETL_BATCHES
    WHERE LEASE_UNTIL IS NOT NULL
    UNION ALL
    SELECT RUN_NUMBER, LEASE_UNTIL
    FROM ANALYTICS.ETL_RENEWALS
) AS KNOWN
GROUP BY RUN_NUMBER;
