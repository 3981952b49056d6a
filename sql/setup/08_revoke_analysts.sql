-- Guarantees: a role of analysts has nothing of what earlier versions gave it: all tables and views, those to come too.
REVOKE SELECT ON FUTURE TABLES IN SCHEMA ${database}.ANALYTICS FROM ROLE ${analyst_role};

REVOKE SELECT ON FUTURE VIEWS IN SCHEMA ${database}.ANALYTICS FROM ROLE ${analyst_role};

REVOKE SELECT ON ALL TABLES IN SCHEMA ${database}.ANALYTICS FROM ROLE ${analyst_role};

REVOKE SELECT ON ALL VIEWS IN SCHEMA ${database}.ANALYTICS FROM ROLE ${analyst_role};
