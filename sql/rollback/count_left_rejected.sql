-- Answers how many rows the runs still have among the rejected rows, and among those that they closed: twice 0.
SELECT
    COUNT(CASE WHEN ETL_RUN_NUMBER IN (${runs}) THEN 1 END),
    COUNT(CASE WHEN CLOSED_BY_RUN_NUMBER IN (${runs}) THEN 1 END)
FROM ANALYTICS.SALES_REJECTED
