-- Guarantees: the ledger is only ever inserted into. Entries that end a run carry the number of the transaction that
-- holds the lock.
INSERT INTO ANALYTICS.ETL_BATCHES (
    BATCH_ID, REGION, RUN_NUMBER, FLOW_RUN_ID, STATUS, RECORDED_AT, LEASE_UNTIL, SNAPSHOT_AT, ORDINAL, EXTRACTED,
    REJECTED, DUPLICATES, INSERTED, UPDATED, UNCHANGED, SUPERSEDED, MONEY, SECONDS, CAUSE, CONTRACT_VERSION
)
${entries}
