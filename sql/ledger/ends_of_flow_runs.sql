-- Answers how the attempts of flow runs have ended, per batch and region; nothing of those without an end.
SELECT BATCH_ID, REGION, STATUS
FROM ANALYTICS.ETL_RUNS_ENDED
WHERE FLOW_RUN_ID IN (${flow_run_ids})
ORDER BY BATCH_ID, REGION, RUN_NUMBER
