-- In how many shards a queue has been. What those of another number hold is taken out for as long as the number is here.
CREATE TABLE queue_layouts (
    queue  TEXT    NOT NULL,
    shards INTEGER NOT NULL CHECK (shards BETWEEN 1 AND 64),
    PRIMARY KEY (queue, shards)
) STRICT;
