-- Lists the publishes of the batches that are in effect, per region, with the numbers of sales that they inserted and
-- changed, and since when the undo log is kept.
SELECT BATCH_ID, REGION, RUN_NUMBER, COALESCE(INSERTED, 0), COALESCE(UPDATED, 0), RECORDED_AT, DATEADD('day', -35, CURRENT_TIMESTAMP())
FROM ANALYTICS.ETL_RUNS_IN_EFFECT
WHERE BATCH_ID IN ('20240115', 'H20240116T091500Z')
ORDER BY RUN_NUMBER, REGION
