-- Guarantees: a run that goes on counts as alive for the given minutes more.
INSERT INTO ANALYTICS.ETL_RENEWALS (RUN_NUMBER, RENEWED_AT, LEASE_UNTIL)
SELECT CAST(? AS NUMBER), CURRENT_TIMESTAMP(), DATEADD('minute', CAST(? AS NUMBER), CURRENT_TIMESTAMP())
