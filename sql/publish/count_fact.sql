-- Answers rows and exact money that the fact table now holds for the batch's keys, by region, fate and currency: the
-- other side of the law. Asked before the MERGE, too: what it replaces must stand in the undo log. Joins by key, never by
-- batch id, so that a row written elsewhere cannot hide.
SELECT 'fact', FACT.REGION, FATES.FATE, FACT.CURRENCY, COUNT(*), ${fact_tally_sums}
FROM ${fates_table} AS FATES
INNER JOIN ANALYTICS.SALES_FACT AS FACT ON FACT.SALE_ID = FATES.SALE_ID AND FACT.REGION = FATES.REGION
WHERE FATES.FATE IN ('inserted', 'updated', 'unchanged')
GROUP BY FACT.REGION, FATES.FATE, FACT.CURRENCY
