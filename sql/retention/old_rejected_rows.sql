-- Guarantees: counts or deletes, as the verb says, the rejected rows that were closed, released or gone more than so many
-- days ago. Open ones stay, however old: they are work to be done.
${verb}
FROM ANALYTICS.SALES_REJECTED
WHERE STATUS NOT IN (${open_statuses}) AND CLOSED_AT < DATEADD('day', -${days}, CURRENT_TIMESTAMP())
