// A BullMQ worker that stores one event with one INSERT. Called with "fill N", it queues N events instead.

import { randomUUID } from "node:crypto";
import { Queue, Worker } from "bullmq";
import pg from "pg";

const { hostname, port } = new URL(process.env.REDIS_URL);
const connection = { host: hostname, port: Number(port), maxRetriesPerRequest: null };
const CONCURRENCY = 50;
const CONNECTIONS = 10;
const AT_ONCE = 1000;

const INSERT = `INSERT INTO processed_events_0
  (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
  VALUES ($1, $2, $3, $4::jsonb, $5, now(), $6) ON CONFLICT (topic, event_id) DO NOTHING`;

function event(number) {
  return {
    topic: `bench/${String(number % 16).padStart(2, "0")}`,
    event_id: randomUUID(),
    source: "benches",
    timestamp: "2026-01-01T00:00:00Z",
    payload: { n: number, text: "x".repeat(170) },
  };
}

const [what, count] = process.argv.slice(2);
if (what === "fill") {
  const queue = new Queue("events", { connection });
  for (let first = 0; first < Number(count); first += AT_ONCE) {
    const numbers = Array.from({ length: Math.min(AT_ONCE, count - first) }, (_, n) => first + n);
    await queue.addBulk(numbers.map((number) => ({ name: "store", data: event(number), opts: { removeOnComplete: true } })));
  }
  await queue.close();
} else {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: CONNECTIONS });
  const store = async ({ data }) => {
    const values = [data.topic, data.event_id, data.source, JSON.stringify(data.payload), data.timestamp, randomUUID()];
    await pool.query({ name: "store", text: INSERT, values });
  };
  new Worker("events", store, { connection, concurrency: CONCURRENCY });
}
