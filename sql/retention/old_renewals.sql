-- Guarantees: counts or deletes, as the verb says, the renewals of leases that ended so many days ago.
${verb}
FROM ANALYTICS.ETL_RENEWALS
WHERE LEASE_UNTIL < DATEADD('day', -${days}, CURRENT_TIMESTAMP())
