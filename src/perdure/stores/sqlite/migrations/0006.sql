-- How far engines that derive from the store have followed its partitions, and who is at it. An engine's name tells
-- its contents apart: one that lost them begins anew. A partition that was removed leaves its cursors, until the
-- engines have forgotten it.
CREATE TABLE cursors (
    engine       TEXT NOT NULL,
    tenant       TEXT NOT NULL,
    owner        TEXT NOT NULL,
    seq          INTEGER NOT NULL DEFAULT 0,
    worker       TEXT,
    leased_until INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (engine, tenant, owner)
) WITHOUT ROWID;
