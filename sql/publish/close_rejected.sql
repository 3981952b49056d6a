-- Guarantees: a rejected row is closed when the fact table holds a newer valid version of its key. Runs after the MERGE.
-- A version in the future counts as read at its snapshot, so that its correction closes it. A version without a time,
-- or corrected without a newer one, is closed by the run that published the key later. What is marked as deleted closes
-- nothing.
UPDATE ANALYTICS.SALES_REJECTED
SET STATUS = 'CLOSED', CLOSED_AT = CURRENT_TIMESTAMP(), CLOSED_BY_RUN_NUMBER = ?
WHERE STATUS IN ('OPEN', 'STILL_BAD') AND EXISTS (
    ${superseding}
        AND FACT.DELETED_AT IS NULL
)
