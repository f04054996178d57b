CREATE TABLE channels (
  id         TEXT PRIMARY KEY,
  seq        INTEGER NOT NULL,
  name       TEXT NOT NULL,
  topic      TEXT NOT NULL,
  visibility TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL      -- milliseconds since 1970, UTC
) WITHOUT ROWID;

CREATE INDEX channels_public ON channels (id) WHERE visibility = 'public';

-- Memberships, ended ones too, so that a stale join can't revive one. The
-- channel's own row may come later.
CREATE TABLE members (
  user    TEXT NOT NULL,
  channel TEXT NOT NULL,
  seq     INTEGER NOT NULL,
  role    TEXT NOT NULL,
  active  INTEGER NOT NULL,
  at      INTEGER NOT NULL,        -- milliseconds since 1970, UTC
  PRIMARY KEY (user, channel)
) WITHOUT ROWID;

CREATE INDEX members_channel ON members (channel, user) WHERE active;
