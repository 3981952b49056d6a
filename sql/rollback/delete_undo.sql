-- Guarantees: what was put back is not put back once more.
DELETE FROM ANALYTICS.${undo_table}
WHERE UNDO_RUN_NUMBER IN (${runs})
