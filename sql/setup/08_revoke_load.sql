-- Guarantees: the load's role has no right that earlier versions gave it and its statements do not use.
REVOKE OPERATE ON WAREHOUSE ${warehouse} FROM ROLE ${role};

REVOKE ALL ON SCHEMA ${database}.ANALYTICS FROM ROLE ${role};

REVOKE ALL ON SCHEMA ${database}.STAGING FROM ROLE ${role};

REVOKE UPDATE ON TABLE ${database}.ANALYTICS.SALES_FACT_UNDO FROM ROLE ${role};

REVOKE UPDATE, DELETE ON TABLE ${database}.ANALYTICS.ETL_BATCHES FROM ROLE ${role};

REVOKE INSERT, DELETE ON TABLE ${database}.ANALYTICS.ETL_LOCK FROM ROLE ${role};
