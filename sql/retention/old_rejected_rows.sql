-- The rejected rows that a published version has closed, longer ago than a batch can be rolled back. Open ones are work
-- to be done, however old they are. `verb` counts or deletes the rows.
${verb}
FROM ANALYTICS.SALES_REJECTED
WHERE STATUS = 'CLOSED' AND CLOSED_AT < DATEADD('day', -${days}, CURRENT_TIMESTAMP())
