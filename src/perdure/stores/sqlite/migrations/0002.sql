-- `generation`: how often entries were made again, without a step of any partition's sequence; an index that was
-- read in another generation is read again.
-- `erased`, `rewritten`, `truncated`: how many erasures there were, and up to which of them the file was written
-- anew and the log cut to nothing. Whoever finds them unequal has that to do.
INSERT INTO meta VALUES ('generation', 0), ('erased', 0), ('rewritten', 0), ('truncated', 0);

-- Keys that are of no use a day after the moment from which they count.
ALTER TABLE keys ADD COLUMN passing INTEGER NOT NULL DEFAULT 0;
CREATE INDEX keys_passing ON keys (at) WHERE passing;
