-- A dead letter that was thrown away keeps its row, without its bytes: it was received, and stays counted.
ALTER TABLE dead_letters ADD COLUMN discarded_at INTEGER;
