-- The rows of the undo log that are older than a batch can be rolled back. `verb` counts or deletes them.
${verb}
FROM ANALYTICS.SALES_FACT_UNDO
WHERE UNDO_RECORDED_AT < DATEADD('day', -${days}, CURRENT_TIMESTAMP())
