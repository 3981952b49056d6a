-- Counts or deletes, as the verb says, the renewals of leases that ended more than the given days ago.
${verb}
FROM ANALYTICS.ETL_RENEWALS
WHERE LEASE_UNTIL < DATEADD('day', -${days}, CURRENT_TIMESTAMP())
