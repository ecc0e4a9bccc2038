// The page: what is asked for, in which order, and what is shown if there is no answer.

import { Away, Refused, ask, history, replay, stats, troubles } from "./api.js";
import { Chart } from "./chart.js";
import { Counters } from "./counters.js";
import { prepareDialogs, toggleHelp } from "./dialogs.js";
import { byId, copy, setText } from "./dom.js";
import { Events } from "./events.js";
import { Health } from "./health.js";
import { forgetKey, key, setKey } from "./key.js";
import { clock, duration, language, onLanguage, setLanguage, t, translate } from "./language.js";
import { Letters } from "./letters.js";
import { Live } from "./live.js";
import { Samples } from "./samples.js";
import { offerThemes, onTheme, renderTheme } from "./theme.js";
import { Topics } from "./topics.js";

/** An answer that takes longer, in milliseconds, is slow. */
const SLOW_AFTER = 2_000;
/** How often the age of the values is told while there is no answer, in milliseconds. */
const TELL_EVERY = 1_000;

const samples = new Samples();
const health = new Health();
const counters = new Counters(samples);
const chart = new Chart();
const events = new Events();
const topics = new Topics((topic) => events.of(topic));
const letters = new Letters();
const sections = [health, counters, chart, topics, events, letters];

/** When the last values came, in milliseconds since 1970. */
let answered = 0;
/** When the question that is not answered yet was asked. */
let asked = 0;
/** Why there is no answer: the server is away, or it has no counters. */
/** @type {"away" | "unwell" | null} */
let lost = null;
/** Whether it is known what the key allows. */
let known = false;
/** What the key may not do, as the server says it, by section. */
/** @type {Map<string, string>} */
const forbidden = new Map();

/** Asks for everything. */
async function look() {
  asked = Date.now();
  const [ready, counted] = await Promise.allSettled([troubles(), stats()]);
  if (counted.status === "rejected") {
    if (ready.status === "fulfilled") health.trouble(ready.value);
    throw counted.reason;
  }
  const now = counted.value;
  const trouble = ready.status === "fulfilled" ? ready.value : null;
  if (!known) await begin();
  const at = Date.now();
  samples.add(at, now);
  health.set(now, trouble);
  counters.render();
  const { pending, processing } = now.queue;
  byId("empty").hidden = now.received > 0 || pending > 0 || processing > 0;
  await Promise.all([
    allowed("chart", () => chart.look()),
    allowed("topics", () => topics.look(now.topics_total)),
    allowed("events", () => events.look()),
    allowed("letters", () => letters.look(now.dead_lettered)),
  ]);
  answered = at;
  asked = 0;
  lost = null;
  byId("key").hidden = true;
  tell();
}

/** Finds out, once for a key, what it allows, and what was counted before. */
async function begin() {
  known = true;
  const before = await history("5m");
  for (const { at, ...sample } of before.samples) samples.add(Date.parse(at), sample);
  try {
    // No letter has this number, so nothing is done: it shows whether it would be allowed.
    await replay([0], true);
    letters.mayChange = true;
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 403) throw error;
    letters.mayChange = false;
  }
}

/**
 * Asks for a section. What a key may not see is said once, and the others go on.
 * @param {string} section
 * @param {() => Promise<void>} question
 */
async function allowed(section, question) {
  if (forbidden.has(section)) return;
  try {
    await question();
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 403) throw error;
    forbidden.set(section, error.message);
    notice();
  }
}

function notice() {
  byId("notice").hidden = forbidden.size === 0;
  const texts = [...new Set(forbidden.values())].map((detail) => `${t("notice")} ${detail}`);
  setText(byId("notice"), texts.join(" "));
  for (const section of forbidden.keys()) byId(section).hidden = true;
}

/** @param {unknown} error */
function failed(error) {
  asked = 0;
  if (error instanceof Refused && error.status === 401) {
    const wrong = byId("key-wrong");
    wrong.hidden = key() === null;
    setText(wrong, key() === null ? "" : t("key.wrong"));
    forgetKey();
    byId("key").hidden = false;
    live.paused = true;
    byId("key-text").focus();
  } else if (error instanceof Refused && error.status === 403) {
    byId("notice").hidden = false;
    setText(byId("notice"), `${t("notice")} ${error.message}`);
  } else {
    if (!(error instanceof Away) && !(error instanceof Refused)) console.error(error);
    lost = error instanceof Away ? "away" : "unwell";
  }
  tell();
}

/** Says how the page stands: live, paused, slow, or without an answer. How old the values are is not read aloud. */
function tell() {
  const state = standing();
  document.body.dataset["state"] = state;
  setText(byId("status"), t(`status.${state}`));
  setText(byId("age"), age(state));
}

function standing() {
  if (!byId("key").hidden) return "unauthorized";
  if (lost) return lost;
  if (live.paused) return "paused";
  if (asked !== 0 && Date.now() - asked > SLOW_AFTER) return "slow";
  return answered === 0 ? "loading" : "live";
}

/** @param {string} state */
function age(state) {
  if (answered === 0) return "";
  if (state === "live") return t("status.at", { at: clock(answered) });
  return t("status.age", { age: duration((Date.now() - answered) / 1_000) });
}

/** @param {KeyboardEvent} pressed */
function press(pressed) {
  const at = pressed.target;
  const typing = at instanceof HTMLInputElement || at instanceof HTMLSelectElement || at instanceof HTMLTextAreaElement;
  if (typing || pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
  const inDialog = document.querySelector("dialog[open]") !== null;
  if (pressed.key === "?") toggleHelp();
  else if (pressed.key === "/" && !inDialog) byId("events-topic").focus();
  else if (pressed.key === "p" && !inDialog) pause();
  else return;
  pressed.preventDefault();
}

function pause() {
  live.paused = !live.paused;
  renderPause();
  tell();
}

function renderPause() {
  byId("pause").setAttribute("aria-pressed", String(live.paused));
}

/** The line that publishes the first event, for the address at which this page is. */
function firstLine() {
  const address = new URL("ingest", location.href).href;
  const allowed = key() === null ? "" : " -H 'Authorization: Bearer KEY'";
  const event = `{"topic":"hello","event_id":"1","payload":{"text":"${t("empty.hello")}"}}`;
  return `curl -s ${address}${allowed} -H 'Content-Type: application/json' -d '${event}'`;
}

function render() {
  renderTheme();
  renderPause();
  setText(byId("empty-line"), firstLine());
  for (const section of sections) section.render();
  tell();
}

async function showVersion() {
  const { info } = JSON.parse(await ask("openapi.json"));
  setText(byId("version"), `${info.title} ${info.version}`);
}

const live = new Live(look, failed);
translate();
offerThemes();
prepareDialogs();
render();
const choice = /** @type {HTMLSelectElement} */ (byId("language"));
choice.value = language();
choice.addEventListener("change", () => setLanguage(choice.value));
onLanguage(render);
onTheme(render);
byId("pause").addEventListener("click", pause);
byId("help").addEventListener("click", toggleHelp);
byId("empty-copy").addEventListener("click", async () => {
  if (await copy(firstLine())) setText(byId("empty-copy"), t("copied"));
});
byId("key").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const text = /** @type {HTMLInputElement} */ (byId("key-text"));
  setKey(text.value.trim());
  text.value = "";
  byId("key").hidden = true;
  known = false;
  forbidden.clear();
  notice();
  live.paused = false;
  render();
});
document.addEventListener("keydown", press);
setInterval(tell, TELL_EVERY);
events.follow();
live.now();
void showVersion().catch(() => {});
