// Payloads as the server sent them. JSON.parse would round 12345678901234567890 and forget that 1.0 was not 1, so the text of
// a payload is cut out of the text of the answer. The text is known to be JSON.

/**
 * An event, with its payload as text.
 * @typedef {object} Stored
 * @property {number} id
 * @property {string} topic
 * @property {string} event_id
 * @property {string} timestamp
 * @property {string} source
 * @property {string} received_at
 * @property {string} processed_at
 * @property {string} payload
 */

/**
 * The events of a page, and where the next one begins.
 * @param {string} text
 * @returns {{ events: Stored[], next: string | null }}
 */
export function page(text) {
  const parts = members(text, 0);
  const next = parts.get("next_cursor");
  return {
    events: elements(text, parts.get("events")?.from ?? 0).map((at) => stored(text, at)),
    next: next ? JSON.parse(text.slice(next.from, next.to)) : null,
  };
}

/**
 * One event.
 * @param {string} text
 * @param {number} [at] where it begins
 * @returns {Stored}
 */
export function stored(text, at = 0) {
  /** @type {Record<string, unknown>} */
  const event = {};
  for (const [name, { from, to }] of members(text, at)) {
    const value = text.slice(from, to);
    event[name] = name === "payload" ? value : JSON.parse(value);
  }
  return /** @type {Stored} */ (/** @type {unknown} */ (event));
}

/**
 * Where the values of an object are.
 * @param {string} text
 * @param {number} at
 * @returns {Map<string, { from: number, to: number }>}
 */
function members(text, at) {
  const found = new Map();
  at = space(text, space(text, at) + 1);
  while (text[at] !== "}" && at < text.length) {
    const named = string(text, at);
    const name = JSON.parse(text.slice(at, named));
    const from = space(text, space(text, named) + 1);
    const to = value(text, from);
    found.set(name, { from, to });
    at = space(text, to);
    if (text[at] === ",") at = space(text, at + 1);
  }
  return found;
}

/**
 * Where the elements of an array begin.
 * @param {string} text
 * @param {number} at
 * @returns {number[]}
 */
function elements(text, at) {
  const found = [];
  at = space(text, at + 1);
  while (text[at] !== "]" && at < text.length) {
    found.push(at);
    at = space(text, value(text, at));
    if (text[at] === ",") at = space(text, at + 1);
  }
  return found;
}

/**
 * Behind the value that begins here.
 * @param {string} text
 * @param {number} at
 */
function value(text, at) {
  if (text[at] === '"') return string(text, at);
  let depth = 0;
  for (; at < text.length; at++) {
    const letter = text[at];
    if (letter === '"') at = string(text, at) - 1;
    else if (letter === "{" || letter === "[") depth++;
    else if (letter === "}" || letter === "]") {
      if (depth === 0) return at;
      depth--;
      if (depth === 0) return at + 1;
    } else if (letter === "," && depth === 0) return at;
  }
  return at;
}

/**
 * Behind the string that begins here.
 * @param {string} text
 * @param {number} at
 */
function string(text, at) {
  for (at++; at < text.length && text[at] !== '"'; at++) if (text[at] === "\\") at++;
  return at + 1;
}

/**
 * Behind the white space that may be here.
 * @param {string} text
 * @param {number} at
 */
function space(text, at) {
  while (at < text.length && " \n\r\t".includes(text[at] ?? "")) at++;
  return at;
}
