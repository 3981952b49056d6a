-- Counts the rows that the runs still have among the rejected rows, and the rows that they still close. Both must be 0.
SELECT
    COUNT(CASE WHEN ETL_RUN_NUMBER IN (${runs}) THEN 1 END),
    COUNT(CASE WHEN CLOSED_BY_RUN_NUMBER IN (${runs}) THEN 1 END)
FROM ANALYTICS.SALES_REJECTED
