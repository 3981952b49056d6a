-- Counts or deletes, as the verb says, the rows of the undo log that are older than the given days; none of them
-- belongs to the past that can be queried.
${verb}
FROM ANALYTICS.SALES_FACT_UNDO
WHERE UNDO_RECORDED_AT < DATEADD('day', -${days}, CURRENT_TIMESTAMP()) AND ${is_past}
