-- Returns the number and exact money of the run's sales by region and currency.
SELECT REGION, CURRENCY, COUNT(*), ${tally_sums}
FROM ANALYTICS.SALES_FACT
WHERE ETL_RUN_NUMBER = ?
GROUP BY REGION, CURRENCY
