-- Guarantees: counts or deletes, as the verb says, the rows of an undo log that are older than so many days. What a heal
-- that was rolled back had changed stays held back.
${verb}
FROM ANALYTICS.${undo_table}
WHERE UNDO_RECORDED_AT < DATEADD('day', -${days}, CURRENT_TIMESTAMP())${but}
