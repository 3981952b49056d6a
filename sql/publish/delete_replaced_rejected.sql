-- Guarantees: of one batch and region only the newest run's open rejected rows remain.
DELETE FROM ANALYTICS.SALES_REJECTED
WHERE ETL_BATCH_ID = ? AND REGION_CODE = ? AND ETL_RUN_NUMBER < ? AND STATUS IN ('OPEN', 'NO_KEY')
