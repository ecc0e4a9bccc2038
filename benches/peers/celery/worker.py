"""A Celery worker with one task: it stores one event with one INSERT. Called with "fill N", it queues N events instead."""

import json
import os
import sys
import uuid
from datetime import datetime, timezone

import psycopg
from celery import Celery

app = Celery("events", broker=os.environ["REDIS_URL"])
# A task is lost with its worker unless it is acknowledged afterwards.
app.conf.update(task_acks_late=True, task_ignore_result=True, worker_prefetch_multiplier=64)

INSERT = """INSERT INTO processed_events_0
    (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
    VALUES (%s, %s, %s, %s::jsonb, %s, %s, %s) ON CONFLICT (topic, event_id) DO NOTHING"""

connection = None


@app.task(name="store")
def store(event):
    global connection
    if connection is None:
        connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    now = datetime.now(timezone.utc)
    values = (event["topic"], event["event_id"], event["source"], json.dumps(event["payload"]), event["timestamp"], now)
    connection.execute(INSERT, (*values, uuid.uuid4()))


def fill(count):
    with app.producer_pool.acquire() as producer:
        for number in range(count):
            event = {
                "topic": f"bench/{number % 16:02}",
                "event_id": uuid.uuid4().hex,
                "source": "benches",
                "timestamp": "2026-01-01T00:00:00Z",
                "payload": {"n": number, "text": "x" * 170},
            }
            store.apply_async((event,), producer=producer)


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(int(sys.argv[2]))
    else:
        app.worker_main(["worker", "--concurrency=4", "--loglevel=WARNING", "--without-gossip", "--without-mingle"])
