-- Channels that messages are in; a number is all that a message repeats of it.
-- Numbers are kept for good, even by a reset, because writers remember them.
CREATE TABLE channels (
  key INTEGER PRIMARY KEY,
  id  TEXT NOT NULL UNIQUE
);

CREATE TABLE messages (
  seq     INTEGER PRIMARY KEY,
  channel INTEGER NOT NULL,        -- channels.key
  id      BLOB NOT NULL,           -- 16 bytes; TEXT where it is not of the usual form
  sent_at INTEGER NOT NULL,        -- milliseconds since 1970, UTC
  author  TEXT NOT NULL,
  client  BLOB,                    -- 16 bytes of UUID; TEXT where it is none
  reply   BLOB,                    -- like id
  text    TEXT NOT NULL
);

-- The lowest sequence of a message id wins.
CREATE UNIQUE INDEX messages_id ON messages (id);

-- The index of words: terms by message (rowid = seq), no text, no positions.
-- The terms are made in Go (terms.go and package words), so that "ascii" need only split them at
-- spaces. Another way of making terms needs a new version of this schema.
-- Prefixes of up to three characters have an index, because so many words begin
-- with them that merging their lists would take long.
CREATE VIRTUAL TABLE terms USING fts5 (
  term, content = '', columnsize = 0, detail = none, prefix = '1 2 3', tokenize = 'ascii'
);

-- Merge segments by eight rather than four: less writing, and a search has a
-- few more of them to look into.
INSERT INTO terms (terms, rank) VALUES ('automerge', 8);
