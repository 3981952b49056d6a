-- Returns the number and exact money of the run's rejected rows by region, broken rules and currency: their part of the
-- law. Finds them by run number, because a row without a key has nothing else to be found by.
SELECT 'rejected', REGION_CODE, RULES, CURRENCY, COUNT(*), ${rejected_tally_sums}, 0
FROM ANALYTICS.SALES_REJECTIONS
WHERE ETL_RUN_NUMBER = ?
GROUP BY REGION_CODE, RULES, CURRENCY
