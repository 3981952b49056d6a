-- Guarantees: no rejected row of the runs comes back by the rollback of a batch that had replaced it.
DELETE FROM ANALYTICS.SALES_REJECTED_UNDO
WHERE ETL_RUN_NUMBER IN (${runs}) AND UNDO_RUN_NUMBER NOT IN (${runs})
