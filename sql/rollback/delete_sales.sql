-- Guarantees: no version of the runs stands in the fact table. Each sale that they have inserted or changed is one: who has
-- changed it since is one of the runs, or the rollback is refused.
DELETE FROM ANALYTICS.SALES_FACT
WHERE ETL_RUN_NUMBER IN (${runs})
