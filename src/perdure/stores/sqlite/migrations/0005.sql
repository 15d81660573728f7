-- A name for this store, by which caches tell it from others.
INSERT INTO meta VALUES ('identity', abs(random() / 2));

-- Vectors of any texts, by hashes of these, so that a service is not asked for them again; the oldest go first.
-- No part of the truth: an erasure removes all of its tenant's. `vector_bytes` is the sum of their lengths.
CREATE TABLE vectors (
    id     INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    name   TEXT NOT NULL,
    vector BLOB NOT NULL
);
CREATE UNIQUE INDEX vectors_name ON vectors (tenant, name);
INSERT INTO meta VALUES ('vector_bytes', 0);

-- `stamp`: of a partition, when it changed last, counted in changes of all partitions. What has changed since an
-- earlier look is then found at once, whoever changed it.
INSERT INTO meta VALUES ('stamp', 0);
ALTER TABLE partitions ADD COLUMN stamp INTEGER NOT NULL DEFAULT 0;
CREATE INDEX partitions_stamp ON partitions (stamp);
