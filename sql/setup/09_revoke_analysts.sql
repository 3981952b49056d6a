-- Guarantees: a role of analysts has no right that earlier versions gave it, on all tables and views, future ones
-- included.
REVOKE SELECT ON FUTURE TABLES IN SCHEMA ${database}.ANALYTICS FROM ROLE ${analyst_role};

REVOKE SELECT ON FUTURE VIEWS IN SCHEMA ${database}.ANALYTICS FROM ROLE ${analyst_role};

REVOKE SELECT ON ALL TABLES IN SCHEMA ${database}.ANALYTICS FROM ROLE ${analyst_role};

REVOKE SELECT ON ALL VIEWS IN SCHEMA ${database}.ANALYTICS FROM ROLE ${analyst_role};
