-- Guarantees: counts or deletes, as the verb says, the rows of the undo log that are older than so many days; none of them
-- is of the past that can be asked for.
${verb}
FROM ANALYTICS.SALES_FACT_UNDO
WHERE UNDO_RECORDED_AT < DATEADD('day', -${days}, CURRENT_TIMESTAMP()) AND ${is_past}
