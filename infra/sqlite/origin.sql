-- The log that the view is of; no row while it is of none. Files of earlier
-- versions get the table when they are opened.
CREATE TABLE IF NOT EXISTS origin (
  key   INTEGER PRIMARY KEY CHECK (key = 1),
  epoch TEXT NOT NULL
);
