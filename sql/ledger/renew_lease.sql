-- Guarantees: a run that goes on counts as alive for so many minutes more.
INSERT INTO ANALYTICS.ETL_RENEWALS (RUN_NUMBER, RENEWED_AT, LEASE_UNTIL)
SELECT ?, CURRENT_TIMESTAMP(), DATEADD('minute', ?, CURRENT_TIMESTAMP())
