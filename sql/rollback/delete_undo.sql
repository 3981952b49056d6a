-- Guarantees: what was put back is not put back once more.
DELETE FROM ANALYTICS.SALES_FACT_UNDO
WHERE UNDO_RUN_NUMBER IN (${runs})
