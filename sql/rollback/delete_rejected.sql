-- Guarantees: no rejected row of the runs is left.
DELETE FROM ANALYTICS.SALES_REJECTED
WHERE ETL_RUN_NUMBER IN (${runs})
