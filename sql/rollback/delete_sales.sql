-- Guarantees: no version of the runs is in the fact table. Each sale that they have inserted or changed has one: a
-- later change is by one of the runs, or the rollback is refused.
DELETE FROM ANALYTICS.SALES_FACT
WHERE ETL_RUN_NUMBER IN (${runs})
