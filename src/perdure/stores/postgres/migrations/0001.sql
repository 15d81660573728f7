-- All times are microseconds since 1970, UTC. Texts stand last in their rows: what is scanned comes first. They are
-- compared byte by byte, as Python compares them. NUL, which PostgreSQL has not, is written as \x01\x01, and \x01 as
-- \x01\x02. JSON is kept as the text that was written: jsonb knows no NUL either, and makes integers of large floats.

-- `schema`: the version of this schema. `identity`: a name for this store, by which caches tell it from others.
-- `floor`: where sequences begin. A tenant that was removed must not lend its old row numbers to new rows,
-- or an index that another process still holds would show the one for the other.
-- `generation`: how often entries were made again, without a step of any partition's sequence; an index that was
-- read in another generation is read again.
-- `erased`, `vacuumed`: how many erasures there were, and up to which of them dead rows were removed.
-- `vector_bytes`: the sum of the lengths of `vectors`.
CREATE TABLE meta (
    key   text COLLATE "C" PRIMARY KEY,
    value bigint NOT NULL
);
INSERT INTO meta VALUES ('generation', 0), ('floor', 0), ('erased', 0), ('vacuumed', 0), ('vector_bytes', 0),
    ('identity', ('x' || left(replace(gen_random_uuid()::text, '-', ''), 15))::bit(60)::bigint);

-- What entries were computed with; exactly one space is in use.
CREATE TABLE spaces (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    analyzer   bigint NOT NULL,
    dimensions bigint NOT NULL,
    active     boolean NOT NULL,
    model      text COLLATE "C"
);
CREATE UNIQUE INDEX spaces_active ON spaces (active) WHERE active;

-- `seq` is the last change; the first one is `start` + 1. Whoever takes the next one locks the row until the end of
-- the transaction, so that the order of sequences is that of commits. Rows are updated in their pages.
CREATE TABLE partitions (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    start  bigint NOT NULL,
    seq    bigint NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    owner  text COLLATE "C" NOT NULL,
    UNIQUE (tenant, owner)
) WITH (fillfactor = 50);

-- Each combination of ids once; `ids` is all of them as JSON, of user, agent, app and run.
CREATE TABLE scopes (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition bigint NOT NULL,
    tenant    text COLLATE "C" NOT NULL,
    ids       text COLLATE "C" NOT NULL,
    user_id   text COLLATE "C",
    agent_id  text COLLATE "C",
    app_id    text COLLATE "C",
    run_id    text COLLATE "C",
    UNIQUE (tenant, ids)
);
CREATE INDEX scopes_partition ON scopes (partition);
CREATE INDEX scopes_user ON scopes (tenant, user_id) WHERE user_id IS NOT NULL;
CREATE INDEX scopes_agent ON scopes (tenant, agent_id) WHERE agent_id IS NOT NULL;
CREATE INDEX scopes_app ON scopes (tenant, app_id) WHERE app_id IS NOT NULL;
CREATE INDEX scopes_run ON scopes (tenant, run_id) WHERE run_id IS NOT NULL;

CREATE TABLE turns (
    ord         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition   bigint NOT NULL,
    scope       bigint NOT NULL,
    said_at     bigint NOT NULL,
    recorded_at bigint NOT NULL,
    erased_at   bigint,
    tenant      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    session     text COLLATE "C" NOT NULL,
    role        text COLLATE "C" NOT NULL,
    speaker     text COLLATE "C",
    attachments text COLLATE "C",
    text        text COLLATE "C" NOT NULL,
    UNIQUE (tenant, id)
);
CREATE INDEX turns_partition ON turns (partition, ord);
CREATE INDEX turns_scope ON turns (scope, ord);

-- Versions; the current one of an id has no `retired_at`. `sources` is NULL for a memory that is its own turn,
-- the JSON columns are NULL when they are empty. `claim` is what a fact says something about.
CREATE TABLE memories (
    partition   bigint NOT NULL,
    ord         bigint NOT NULL,
    version     bigint NOT NULL,
    scope       bigint NOT NULL,
    retired_at  bigint,
    erased_at   bigint,
    said_at     bigint NOT NULL,
    recorded_at bigint NOT NULL,
    valid_from  bigint,
    valid_to    bigint,
    expires_at  bigint,
    place       bigint,
    salience    double precision NOT NULL,
    tenant      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    origin      text COLLATE "C" NOT NULL,
    role        text COLLATE "C" NOT NULL,
    speaker     text COLLATE "C",
    session     text COLLATE "C",
    derived_by  text COLLATE "C",
    claim       text COLLATE "C",
    relations   text COLLATE "C",
    sources     text COLLATE "C",
    categories  text COLLATE "C",
    mentions    text COLLATE "C",
    metadata    text COLLATE "C",
    text        text COLLATE "C" NOT NULL,
    PRIMARY KEY (partition, ord),
    UNIQUE (tenant, id, version)
);
CREATE INDEX memories_scope ON memories (scope);

-- What ranking reads. Vectors are float16, never compressed, and stand in their rows as long as these fit into a page.
CREATE TABLE entries (
    partition     bigint NOT NULL,
    ord           bigint NOT NULL,
    space         bigint NOT NULL,
    flags         bigint NOT NULL,
    tenant        text COLLATE "C" NOT NULL,
    speaker_words bytea NOT NULL,
    date_words    bytea NOT NULL,
    words         bytea NOT NULL,
    vectors       bytea NOT NULL,
    PRIMARY KEY (space, partition, ord)
) WITH (toast_tuple_target = 8160);
ALTER TABLE entries ALTER speaker_words SET STORAGE EXTERNAL, ALTER date_words SET STORAGE EXTERNAL,
    ALTER words SET STORAGE EXTERNAL, ALTER vectors SET STORAGE EXTERNAL;

-- The log, without gaps. `ended` and `made` are the `ord`s of the version that ended and of the one that began;
-- `made` is always `seq`. Texts are in the versions.
CREATE TABLE changes (
    partition bigint NOT NULL,
    seq       bigint NOT NULL,
    ended     bigint,
    made      bigint,
    at        bigint NOT NULL,
    tenant    text COLLATE "C" NOT NULL,
    memory_id text COLLATE "C" NOT NULL,
    event     text COLLATE "C" NOT NULL,
    write_id  text COLLATE "C",
    actor     text COLLATE "C",
    reason    text COLLATE "C",
    PRIMARY KEY (partition, seq)
);
CREATE INDEX changes_memory ON changes (tenant, memory_id);
CREATE INDEX changes_write ON changes (tenant, write_id);

-- Idempotency: the changes `first` to `last` are what the batch with this key did. `passing`: of no use a day after
-- the moment from which it counts.
CREATE TABLE keys (
    partition bigint NOT NULL,
    at        bigint NOT NULL,
    first     bigint NOT NULL,
    last      bigint NOT NULL,
    passing   boolean NOT NULL,
    tenant    text COLLATE "C" NOT NULL,
    key       text COLLATE "C" NOT NULL,
    batch     text COLLATE "C" NOT NULL,
    PRIMARY KEY (partition, key)
);
CREATE INDEX keys_passing ON keys (at) WHERE passing;

-- What is still to be done with turns; `turns` are their ids. A job is removed in the transaction that stores what
-- it led to. Who works on it, until when; when it may be tried again; whether nobody tries it any more unless told to.
CREATE TABLE jobs (
    partition    bigint NOT NULL,
    made_at      bigint NOT NULL,
    due_at       bigint NOT NULL,
    leased_until bigint NOT NULL,
    attempts     bigint NOT NULL,
    given_up     boolean NOT NULL,
    tenant       text COLLATE "C" NOT NULL,
    id           text COLLATE "C" PRIMARY KEY,
    kind         text COLLATE "C" NOT NULL,
    turns        text COLLATE "C" NOT NULL,
    options      text COLLATE "C",
    error        text COLLATE "C",
    answer       text COLLATE "C",
    worker       text COLLATE "C"
);
CREATE INDEX jobs_partition ON jobs (partition);
CREATE INDEX jobs_order ON jobs (tenant, made_at, id);

-- Vectors of any texts, by hashes of these, so that a service is not asked for them again; the oldest go first.
-- No part of the truth: an erasure removes all of its tenant's.
CREATE TABLE vectors (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    name   text COLLATE "C" NOT NULL,
    vector bytea NOT NULL,
    UNIQUE (tenant, name)
);

-- How far engines that derive from the store have followed its partitions, and who is at it. An engine's name tells
-- its contents apart: one that lost them begins anew. A partition that was removed leaves its cursors, until the
-- engines have forgotten it.
CREATE TABLE cursors (
    seq          bigint NOT NULL,
    leased_until bigint NOT NULL,
    tenant       text COLLATE "C" NOT NULL,
    engine       text COLLATE "C" NOT NULL,
    owner        text COLLATE "C" NOT NULL,
    worker       text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, engine, owner)
) WITH (fillfactor = 50);

-- Whoever has not said in this transaction whose rows are meant sees and writes none; also the owner of the tables.
-- What concerns the whole store (upkeep) says so. A superuser, and a role with BYPASSRLS, sees everything.
DO $$
DECLARE
    of_tenants text;
BEGIN
    FOREACH of_tenants IN ARRAY ARRAY[
        'partitions', 'scopes', 'turns', 'memories', 'entries', 'changes', 'keys', 'jobs', 'vectors', 'cursors'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', of_tenants);
        EXECUTE format(
            'CREATE POLICY tenant ON %I USING (tenant = (SELECT current_setting(''perdure.tenant'', true)) '
            'OR (SELECT current_setting(''perdure.every_tenant'', true)) = ''yes'')',
            of_tenants
        );
    END LOOP;
END
$$;
