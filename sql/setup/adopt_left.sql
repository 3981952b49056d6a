-- Answers how many rows of the fact table no run of this pipeline has written or adopted.
SELECT COUNT(*)
FROM ANALYTICS.SALES_FACT
WHERE ETL_RUN_NUMBER IS NULL
