-- Guarantees: the undo log keeps the keys of the sales that heals among the runs had changed, as held back.
UPDATE ANALYTICS.SALES_FACT_UNDO
SET UNDO_FATE = 'held_back'
WHERE UNDO_RUN_NUMBER IN (${runs}) AND STARTSWITH(UNDO_BATCH_ID, '${heal}')
