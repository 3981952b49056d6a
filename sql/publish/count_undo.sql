-- Returns the number, exact money and a fingerprint of all columns of the versions that the run can restore, by region,
-- fate and currency.
SELECT 'undo', REGION, 'updated', CURRENCY, COUNT(*), ${tally_sums}, HASH_AGG(${fact_columns})
FROM ANALYTICS.SALES_FACT_UNDO
WHERE UNDO_RUN_NUMBER = ? AND UNDO_PUBLISH_NUMBER = (SELECT ORDINAL FROM ANALYTICS.ETL_LOCK)
GROUP BY REGION, CURRENCY
