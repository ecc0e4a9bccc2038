-- In how many shards a queue has been. What those of another number hold is taken out for as long as the number is here.
CREATE TABLE queue_layouts (
    queue      text        NOT NULL,
    shards     integer     NOT NULL CHECK (shards BETWEEN 1 AND 64),
    entered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (queue, shards)
);
