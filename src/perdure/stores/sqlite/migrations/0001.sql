-- All times are microseconds since 1970, UTC. Texts stand last in their rows: what is scanned comes first.

-- `floor`: where sequences begin. A tenant that was removed must not lend its old row numbers to new rows,
-- or an index that another process still holds would show the one for the other.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO meta VALUES ('floor', 0);

-- What entries were computed with; exactly one space is in use.
CREATE TABLE spaces (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    analyzer   INTEGER NOT NULL,
    model      TEXT,
    dimensions INTEGER NOT NULL,
    active     INTEGER NOT NULL
);

-- `seq` is the last change; the first one is `start` + 1.
CREATE TABLE partitions (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    owner  TEXT NOT NULL,
    start  INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    UNIQUE (tenant, owner)
);

-- Each combination of ids once.
CREATE TABLE scopes (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    partition INTEGER NOT NULL,
    tenant    TEXT NOT NULL,
    user_id   TEXT,
    agent_id  TEXT,
    app_id    TEXT,
    run_id    TEXT
);
CREATE INDEX scopes_partition ON scopes (partition, run_id, agent_id, app_id, user_id);
CREATE INDEX scopes_user ON scopes (tenant, user_id) WHERE user_id IS NOT NULL;
CREATE INDEX scopes_agent ON scopes (tenant, agent_id) WHERE agent_id IS NOT NULL;
CREATE INDEX scopes_app ON scopes (tenant, app_id) WHERE app_id IS NOT NULL;
CREATE INDEX scopes_run ON scopes (tenant, run_id) WHERE run_id IS NOT NULL;

CREATE TABLE turns (
    ord         INTEGER PRIMARY KEY,
    id          TEXT NOT NULL,
    partition   INTEGER NOT NULL,
    scope       INTEGER NOT NULL,
    said_at     INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    erased_at   INTEGER,
    session     TEXT NOT NULL,
    role        TEXT NOT NULL,
    speaker     TEXT,
    attachments TEXT,
    text        TEXT NOT NULL
);
CREATE UNIQUE INDEX turns_id ON turns (id, partition);
CREATE INDEX turns_partition ON turns (partition);
CREATE INDEX turns_scope ON turns (scope);

-- Versions; the current one of an id has no `retired_at`. `sources` is NULL for a memory that is its own turn,
-- the JSON columns are NULL when they are empty.
CREATE TABLE memories (
    partition   INTEGER NOT NULL,
    ord         INTEGER NOT NULL,
    id          TEXT NOT NULL,
    version     INTEGER NOT NULL,
    scope       INTEGER NOT NULL,
    retired_at  INTEGER,
    erased_at   INTEGER,
    said_at     INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    valid_from  INTEGER,
    valid_to    INTEGER,
    expires_at  INTEGER,
    place       INTEGER,
    salience    REAL NOT NULL,
    kind        TEXT NOT NULL,
    origin      TEXT NOT NULL,
    role        TEXT NOT NULL,
    speaker     TEXT,
    session     TEXT,
    derived_by  TEXT,
    sources     TEXT,
    categories  TEXT,
    mentions    TEXT,
    metadata    TEXT,
    text        TEXT NOT NULL,
    PRIMARY KEY (partition, ord)
) WITHOUT ROWID;
CREATE UNIQUE INDEX memories_id ON memories (id, partition, version);
CREATE INDEX memories_scope ON memories (scope);

-- What ranking reads. One partition's are neighbours on disk, so that loading it is one contiguous read.
CREATE TABLE entries (
    space         INTEGER NOT NULL,
    partition     INTEGER NOT NULL,
    ord           INTEGER NOT NULL,
    flags         INTEGER NOT NULL,
    speaker_words BLOB NOT NULL,
    date_words    BLOB NOT NULL,
    words         BLOB NOT NULL,
    vectors       BLOB NOT NULL,
    PRIMARY KEY (space, partition, ord)
) WITHOUT ROWID;

-- The log, without gaps. `old` and `new` are the `ord`s of the version that ended and of the one that began;
-- `new` is always `seq`. Texts are in the versions.
CREATE TABLE changes (
    partition INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    memory_id TEXT NOT NULL,
    event     TEXT NOT NULL,
    old       INTEGER,
    new       INTEGER,
    at        INTEGER NOT NULL,
    write_id  TEXT,
    actor     TEXT,
    reason    TEXT,
    PRIMARY KEY (partition, seq)
) WITHOUT ROWID;
CREATE INDEX changes_memory ON changes (memory_id);

-- Idempotency: the changes `first` to `last` are what the batch with this key did.
CREATE TABLE keys (
    partition INTEGER NOT NULL,
    key       TEXT NOT NULL,
    batch     TEXT NOT NULL,
    at        INTEGER NOT NULL,
    first     INTEGER NOT NULL,
    last      INTEGER NOT NULL,
    PRIMARY KEY (partition, key)
) WITHOUT ROWID;
