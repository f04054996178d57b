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

-- History: an index entry ends with the row's key, which is the sequence.
CREATE INDEX messages_channel ON messages (channel);
