// Publishes in every form with a client that is typed by schema.d.ts, which openapi-typescript made of the description.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Schemas = components["schemas"];

const client = createClient<paths>({ baseUrl: process.argv[2] });

const payload = { total: 10, lines: [{ a: [1, null, true, "é"] }], deep: {} };
const full: Schemas["FullEvent"] = { topic: "orders", event_id: "full", source: "shop", payload };
const cloud: Schemas["CloudEvent"] = {
  specversion: "1.0",
  type: "order.placed",
  source: "/shop",
  id: "cloud",
  subject: "s",
  priority: 3,
  data: payload,
};

function expect<T>(found: T, wanted: T): void {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) {
    throw new Error(`found ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`);
  }
}

async function accepted(sent: Promise<{ data?: Schemas["Published"]; error?: Schemas["Problem"] }>, count: number) {
  const { data, error } = await sent;
  if (!data) throw new Error(`refused: ${error?.detail}`);
  expect(data.accepted, count);
}

const lines = (events: unknown) => (events as unknown[]).map((event) => JSON.stringify(event)).join("\n");
const as = (type: string) => ({ "Content-Type": type });

await accepted(client.POST("/publish", { body: full }), 1);
await accepted(client.POST("/publish", { body: { topic: "orders", event_id: "literal", payload: { a: 1 } } }), 1);
await accepted(client.POST("/publish", { body: [full, { id: "short", payload, source: null }] }), 2);
await accepted(client.POST("/publish", { body: { events: [full, { id: "listed" }] } }), 2);
await accepted(
  client.POST("/publish", {
    body: [{ id: "line-1" }, { id: "line-2" }],
    bodySerializer: lines,
    headers: as("application/x-ndjson"),
  }),
  2,
);
await accepted(client.POST("/publish", { body: cloud, headers: as("application/cloudevents+json") }), 1);
await accepted(
  client.POST("/publish", {
    body: [cloud, { ...cloud, id: "cloud-2" }],
    headers: as("application/cloudevents-batch+json"),
  }),
  2,
);

const ingested = await client.POST("/ingest", { body: { id: "ingested" } });
expect(ingested.data && "status" in ingested.data && ingested.data.status, "accepted");

const refused = await client.POST("/publish", { body: { topic: "", event_id: "a" } });
expect(refused.error?.errors?.[0]?.index, 0);

const page = await client.GET("/events", { params: { query: { topic: "orders", limit: 10 } } });
expect(page.data?.events.map((event) => event.event_id), ["full", "literal"]);
const path = { topic: "orders", event_id: "literal" };
const one = await client.GET("/events/{topic}/{event_id}", { params: { path } });
expect(one.data?.payload["a"], 1);

const { data: counters } = await client.GET("/stats");
console.log(JSON.stringify({ received: counters?.received, unique: counters?.unique_processed }));
