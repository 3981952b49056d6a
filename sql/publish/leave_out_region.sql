-- Guarantees: rows of an overtaken region take no part in this publish.
DELETE FROM ${table}
WHERE ${region_column} = ?
