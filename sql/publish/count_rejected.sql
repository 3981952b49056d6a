-- Returns the number and exact money of the run's rejected rows by region, broken rules and currency: their part of the
-- law. Finds them by run number, because a row without a key has nothing else to be found by. Texts that are no currency
-- count as one.
SELECT
    'rejected', REGION_CODE, RULES,
    CASE WHEN REGEXP_LIKE(CURRENCY, '[A-Z]{3}') THEN CURRENCY WHEN CURRENCY IS NOT NULL THEN '(malformed)' END,
    COUNT(*), ${rejected_tally_sums}, 0
FROM ANALYTICS.SALES_REJECTIONS
WHERE ETL_RUN_NUMBER = ?
GROUP BY 2, 3, 4
