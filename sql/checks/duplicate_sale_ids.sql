-- Lists the keys that occur more than once in the fact table. Must return no row.
SELECT SALE_ID, COUNT(*) AS ROWS_IN_TABLE
FROM ANALYTICS.SALES_FACT
GROUP BY SALE_ID
HAVING COUNT(*) > 1
ORDER BY SALE_ID
