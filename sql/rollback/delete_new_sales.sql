-- Guarantees: no sale that the runs have first inserted stands in the fact table, whoever wrote it last.
DELETE FROM ANALYTICS.SALES_FACT
WHERE ETL_FIRST_RUN_NUMBER IN (${runs})
