-- Guarantees: counts or deletes, as the verb says, the rows of the undo log that are older than so many days. What a heal
-- that was rolled back had changed stays held back.
${verb}
FROM ANALYTICS.SALES_FACT_UNDO
WHERE UNDO_RECORDED_AT < DATEADD('day', -${days}, CURRENT_TIMESTAMP()) AND UNDO_FATE <> 'held_back'
