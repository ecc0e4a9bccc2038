// Requests to this server. Paths are relative, so that the page works behind a prefix, too.

import { key } from "./key.js";

/** @typedef {import("api-types").components["schemas"]} Schemas */

/** How long an answer may take, in milliseconds. */
const ANSWERS_WITHIN = 15_000;

/** The server has answered, but not with what was asked for. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} detail what the server says
   * @param {number | null} retryAfter in seconds
   */
  constructor(status, detail, retryAfter) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** The server does not answer. */
export class Away extends Error {}

/**
 * Sends a request.
 * @param {string} path
 * @param {{ method?: string, query?: Record<string, string>, body?: unknown }} [options]
 * @returns {Promise<string>} the body of the answer, as it came
 */
export async function ask(path, { method = "GET", query = {}, body } = {}) {
  /** @type {Record<string, string>} */
  const headers = {};
  const mine = key();
  if (mine) headers["Authorization"] = `Bearer ${mine}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const search = new URLSearchParams(query).toString();
  let response, text;
  try {
    response = await fetch(search ? `${path}?${search}` : path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      cache: "no-store",
      signal: AbortSignal.timeout(ANSWERS_WITHIN),
    });
    text = await response.text();
  } catch (error) {
    throw new Away(String(error));
  }
  if (response.ok) return text;
  const after = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  throw new Refused(response.status, detail(text), Number.isNaN(after) ? null : after);
}

/**
 * What is wrong, as the server says it (RFC 9457).
 * @param {string} text
 */
function detail(text) {
  try {
    return String(JSON.parse(text).detail ?? text);
  } catch {
    return text.slice(0, 200);
  }
}

/** @returns {Promise<Schemas["Counters"]>} */
export async function stats() {
  return JSON.parse(await ask("stats", { query: { topics: "none" } }));
}

/**
 * Whether events get stored; if not, why.
 * @returns {Promise<string | null>}
 */
export async function troubles() {
  try {
    await ask("ready");
    return null;
  } catch (error) {
    if (error instanceof Refused && error.status === 503) return error.message;
    throw error;
  }
}

/**
 * The counters as they were.
 * @param {string} last how long ago the first one is
 * @returns {Promise<Schemas["History"]>}
 */
export async function history(last) {
  return JSON.parse(await ask("stats/history", { query: { last } }));
}

/**
 * @param {Record<string, string>} query
 * @returns {Promise<Schemas["TopicPage"]>}
 */
export async function topics(query) {
  return JSON.parse(await ask("topics", { query }));
}

/**
 * @param {Record<string, string>} query
 * @returns {Promise<Schemas["DeadLetterPage"]>}
 */
export async function letters(query) {
  return JSON.parse(await ask("dead-letters", { query }));
}

/**
 * Tries to store dead letters again, or says what would come of it.
 * @param {number[]} ids
 * @param {boolean} dryRun
 * @returns {Promise<Schemas["Replayed"]>}
 */
export async function replay(ids, dryRun) {
  const query = { dry_run: String(dryRun) };
  return JSON.parse(await ask("dead-letters/replay", { method: "POST", query, body: { ids } }));
}

/** @param {number} id */
export async function discard(id) {
  await ask(`dead-letters/${id}`, { method: "DELETE" });
}
