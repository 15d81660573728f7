-- Who works on a job, until when; when it may be tried again; whether nobody tries it any more unless told to.
ALTER TABLE jobs ADD COLUMN worker TEXT;
ALTER TABLE jobs ADD COLUMN leased_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN due_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN given_up INTEGER NOT NULL DEFAULT 0;
CREATE INDEX jobs_order ON jobs (made_at, id);

-- What an add has led to.
CREATE INDEX changes_write ON changes (write_id);
