-- What a fact says something about, as JSON; NULL for all other memories.
ALTER TABLE memories ADD COLUMN claim TEXT;
-- The relations that it states, as JSON; NULL when there are none.
ALTER TABLE memories ADD COLUMN relations TEXT;

-- What is still to be done with turns; `turns` are their ids. A job is removed in the transaction that stores what
-- it led to.
CREATE TABLE jobs (
    id        TEXT PRIMARY KEY,
    partition INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    made_at   INTEGER NOT NULL,
    attempts  INTEGER NOT NULL,
    turns     TEXT NOT NULL,
    options   TEXT,
    error     TEXT,
    answer    TEXT
) WITHOUT ROWID;
CREATE INDEX jobs_partition ON jobs (partition);
