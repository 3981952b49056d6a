-- Lists the ledger's state of each date and region between two batch ids, as sql/ledger/states.sql defines it.
-- Batches of named keys (R..., H...) and adopted tables (A...) sort behind all dates.
${ledger_states}
WHERE LATEST.BATCH_ID BETWEEN ? AND ?
ORDER BY LATEST.BATCH_ID, LATEST.REGION
