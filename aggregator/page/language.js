// Texts, numbers and times in the language of the reader.

import english from "./en.js";
import indonesian from "./id.js";

/** @typedef {keyof typeof english} Key */
/** @typedef {Record<string, string>} Texts */

/** @type {Record<string, Texts>} */
const CATALOGUES = { en: english, id: indonesian };
/** The unit of a length of time, and how many seconds it has. */
const UNITS = /** @type {const} */ ([
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
]);

/** @type {Set<() => void>} */
const listeners = new Set();

/** The language that is shown. */
export function language() {
  return document.documentElement.lang in CATALOGUES ? document.documentElement.lang : "en";
}

/**
 * Shows another language.
 * @param {string} tag
 */
export function setLanguage(tag) {
  localStorage.setItem("language", tag);
  document.documentElement.lang = tag;
  translate();
  for (const listener of listeners) listener();
}

/**
 * Calls this whenever another language is shown.
 * @param {() => void} listener
 */
export function onLanguage(listener) {
  listeners.add(listener);
}

/**
 * A text, with its gaps filled.
 * @param {Key} key
 * @param {Record<string, string>} [gaps]
 */
export function t(key, gaps = {}) {
  const text = CATALOGUES[language()]?.[key] ?? english[key];
  return text.replace(/\{(\w+)\}/g, (gap, name) => gaps[name] ?? gap);
}

/**
 * A text that depends on a number, which fills its gap {n}.
 * @param {"events.new" | "topics.total" | "letters.total" | "letters.replayQuestion" | "letters.discardQuestion"} key
 * @param {number} n
 * @param {boolean} [orMore] whether it may be more
 */
export function counted(key, n, orMore = false) {
  const form = new Intl.PluralRules(language()).select(n) === "one" ? "one" : "other";
  return t(/** @type {Key} */ (`${key}.${form}`), { n: number(n) + (orMore ? "+" : "") });
}

/** @param {number} n */
export function number(n) {
  return new Intl.NumberFormat(language()).format(n);
}

/**
 * How many a second.
 * @param {number} n
 */
export function rate(n) {
  const digits = n !== 0 && n < 10 ? 1 : 0;
  const shown = new Intl.NumberFormat(language(), { maximumFractionDigits: digits }).format(n);
  return t("rate", { n: shown });
}

/** @param {string | number | Date} at */
export function moment(at) {
  const format = new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "medium" });
  return format.format(new Date(at));
}

/**
 * The time of day, and the day if it is another one.
 * @param {string | number | Date} at
 */
export function short(at) {
  const then = new Date(at);
  if (then.toDateString() === new Date().toDateString()) return clock(then);
  return new Intl.DateTimeFormat(language(), { dateStyle: "short", timeStyle: "short" }).format(then);
}

/**
 * The time of day alone.
 * @param {string | number | Date} at
 */
export function clock(at) {
  return new Intl.DateTimeFormat(language(), { timeStyle: "medium" }).format(new Date(at));
}

/**
 * A length of time, in its two largest units.
 * @param {number} seconds
 */
export function duration(seconds) {
  const parts = [];
  let rest = Math.max(0, seconds);
  for (const [unit, length] of UNITS) {
    const last = unit === "second";
    /** @type {number} */
    const count = last && parts.length === 0 && rest < 10 ? Math.round(rest * 10) / 10 : Math.floor(rest / length);
    rest -= count * length;
    if (count > 0 || (last && parts.length === 0)) {
      const format = new Intl.NumberFormat(language(), { style: "unit", unit, unitDisplay: "short" });
      parts.push(format.format(count));
    }
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

/** Sets the texts that index.html has: contents (data-t), labels (data-label) and placeholders (data-placeholder). */
export function translate() {
  document.title = t("title");
  for (const of of document.querySelectorAll("[data-t]")) of.textContent = t(keyOf(of, "data-t"));
  for (const of of document.querySelectorAll("[data-label]")) of.setAttribute("aria-label", t(keyOf(of, "data-label")));
  for (const of of document.querySelectorAll("[data-placeholder]")) of.setAttribute("placeholder", t(keyOf(of, "data-placeholder")));
}

/**
 * @param {Element} of
 * @param {string} attribute
 */
function keyOf(of, attribute) {
  return /** @type {Key} */ (of.getAttribute(attribute));
}
