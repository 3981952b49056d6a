-- Returns the number and exact money of the rows that the fact table now holds for the batch's keys, by region, fate
-- and currency: the other side of the law. Finds them by key on the dates of the batch's sales, never by batch or run,
-- so that a row written elsewhere cannot hide; a row with another date counts as lost.
SELECT 'fact', FACT.REGION, FATES.FATE, FACT.CURRENCY, COUNT(*), ${fact_tally_sums}, 0
FROM ANALYTICS.SALES_FACT AS FACT
INNER JOIN (SELECT DISTINCT SALE_DATE FROM ${clean_table}) AS DATES ON DATES.SALE_DATE = FACT.SALE_DATE
INNER JOIN ${fates_table} AS FATES ON FATES.SALE_ID = FACT.SALE_ID
WHERE FATES.FATE IN ('inserted', 'updated', 'unchanged')
GROUP BY FACT.REGION, FATES.FATE, FACT.CURRENCY
