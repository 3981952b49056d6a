-- Guarantees: no row of an adopted table ever lacks a value that each sale needs.
${required_columns}
