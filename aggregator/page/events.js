// The newest events. The list does not jump: what has come meanwhile is behind a button.

import { Refused, ask } from "./api.js";
import { byId, button, copy, element, setText } from "./dom.js";
import { counted, moment, short, t } from "./language.js";
import { page, stored } from "./raw.js";

/** @typedef {import("./raw.js").Stored} Stored */

/** How many events a page has. */
const PAGE = 25;
/** Most events that are shown. */
const MAX_SHOWN = 500;
/** How much of a payload the list shows, in characters. */
const SHORT = 120;
/** What the address says of an event that is shown. */
const LINK = "#event=";
/** A filter that finds little makes short pages; so many are asked for in a row. */
const MAX_PAGES = 20;

export class Events {
  /** @type {Stored[]} */
  #shown = [];
  /** @type {Stored[]} */
  #waiting = [];
  /** @type {string | null} */
  #next = null;
  #topic = "";
  #looked = false;
  /** Whether the page says that there are no events. */
  #saidNone = false;
  /** @type {Stored | null} */
  #open = null;

  constructor() {
    byId("events-new").addEventListener("click", () => this.#showNew());
    byId("events-more").addEventListener("click", () => void this.#showMore().catch(failed));
    byId("events-find").addEventListener("submit", (submitted) => {
      submitted.preventDefault();
      void this.#find().catch(failed);
    });
    byId("event-copy").addEventListener("click", async () => {
      const copied = await copy(this.#open?.payload ?? "");
      setText(byId("event-copy"), copied ? t("copied") : t("events.copy"));
    });
    byId("event-dialog").addEventListener("close", () => {
      if (location.hash.startsWith(LINK)) window.history.replaceState(null, "", location.pathname + location.search);
    });
    window.addEventListener("hashchange", () => this.follow());
  }

  /** Shows the event that the address names, if it names one. */
  follow() {
    const [topic, id] = location.hash.startsWith(LINK) ? location.hash.slice(LINK.length).split("/") : [];
    if (topic !== undefined && id !== undefined) void this.#one(decodeURIComponent(topic), decodeURIComponent(id)).catch(failed);
  }

  /**
   * Shows the events of a topic.
   * @param {string} topic
   */
  of(topic) {
    /** @type {HTMLInputElement} */ (byId("events-topic")).value = topic;
    /** @type {HTMLInputElement} */ (byId("events-id")).value = "";
    byId("events-title").scrollIntoView();
    void this.#find().catch(failed);
  }

  /** Asks for the newest events. The first time, and as long as there are none, they are shown at once. */
  async look() {
    const topic = this.#topic;
    const found = await this.#page(null);
    if (topic !== this.#topic) return;
    const newest = this.#shown[0]?.id ?? -1;
    if (this.#shown.length === 0) {
      this.#shown = found.events;
      this.#next = found.next;
      this.#looked = true;
      this.#list();
    } else {
      this.#waiting = found.events.filter((event) => event.id > newest);
    }
    this.#heads();
  }

  render() {
    if (!this.#looked) return;
    this.#list();
    this.#heads();
  }

  #heads() {
    const waiting = byId("events-new");
    waiting.hidden = this.#waiting.length === 0;
    setText(waiting, counted("events.new", this.#waiting.length, this.#waiting.length === PAGE));
    byId("events-more").hidden = this.#next === null || this.#shown.length >= MAX_SHOWN;
    const none = this.#topic ? t("events.noneOf", { topic: this.#topic }) : t("events.none");
    if (this.#shown.length === 0) setText(byId("events-said"), none);
    else if (this.#saidNone) setText(byId("events-said"), "");
    this.#saidNone = this.#shown.length === 0;
  }

  #list() {
    document.querySelector("#events-table tbody")?.replaceChildren(...this.#shown.map((event) => this.#row(event)));
  }

  /** @param {Stored} event */
  #row(event) {
    const payload = event.payload.length > SHORT ? `${event.payload.slice(0, SHORT)}…` : event.payload;
    return element(
      "tr",
      {},
      element("td", { title: moment(event.received_at) }, short(event.received_at)),
      element("td", {}, event.topic),
      element("td", {}, button(event.event_id, () => this.#show(event), { class: "plain" })),
      element("td", {}, event.source),
      element("td", { class: "code" }, payload),
    );
  }

  #showNew() {
    const waiting = this.#waiting;
    this.#waiting = [];
    if (waiting.length === PAGE) {
      // What lies between a full page and the list is not known, so the list begins anew.
      void this.#again().catch(failed);
    } else {
      this.#shown = [...waiting, ...this.#shown].slice(0, MAX_SHOWN);
      this.render();
    }
  }

  async #again() {
    this.#shown = [];
    await this.look();
  }

  async #showMore() {
    const found = await this.#page(this.#next);
    this.#shown = [...this.#shown, ...found.events].slice(0, MAX_SHOWN);
    this.#next = found.next;
    this.render();
  }

  /**
   * A page of events, and of a filter that finds little, several.
   * @param {string | null} cursor
   * @returns {Promise<{ events: Stored[], next: string | null }>}
   */
  async #page(cursor) {
    /** @type {Stored[]} */
    const events = [];
    for (let asked = 0; asked < MAX_PAGES; asked++) {
      const query = { order: "newest", limit: String(PAGE), ...(this.#topic ? { topic: this.#topic } : {}), ...(cursor ? { cursor } : {}) };
      const found = page(await ask("events", { query }));
      events.push(...found.events);
      cursor = found.next;
      if (events.length > 0 || cursor === null) break;
    }
    return { events, next: cursor };
  }

  async #find() {
    const topic = /** @type {HTMLInputElement} */ (byId("events-topic")).value;
    const id = /** @type {HTMLInputElement} */ (byId("events-id")).value;
    setText(byId("events-said"), "");
    if (id) {
      await this.#one(topic || "default", id);
      return;
    }
    this.#topic = topic;
    this.#waiting = [];
    await this.#again();
  }

  /**
   * @param {string} topic
   * @param {string} id
   */
  async #one(topic, id) {
    try {
      this.#show(stored(await ask(`events/${encodeURIComponent(topic)}/${encodeURIComponent(id)}`)));
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 404) throw error;
      setText(byId("events-said"), t("events.notFound", { topic, id }));
    }
  }

  /** @param {Stored} event */
  #show(event) {
    this.#open = event;
    const link = `${LINK}${encodeURIComponent(event.topic)}/${encodeURIComponent(event.event_id)}`;
    setText(byId("event-title"), `${event.topic} / ${event.event_id}`);
    setText(byId("event-payload"), event.payload);
    setText(byId("event-copy"), t("events.copy"));
    byId("event-link").setAttribute("href", link);
    /** @type {[Parameters<typeof t>[0], string][]} */
    const facts = [
      ["events.timestamp", event.timestamp],
      ["events.received", event.received_at],
      ["events.processed", event.processed_at],
      ["events.source", event.source],
    ];
    byId("event-facts").replaceChildren(
      ...facts.map(([name, fact]) => element("div", {}, element("dt", {}, t(name)), element("dd", {}, fact))),
    );
    window.history.replaceState(null, "", link);
    const dialog = /** @type {HTMLDialogElement} */ (byId("event-dialog"));
    if (!dialog.open) dialog.showModal();
  }
}

/** @param {unknown} error */
function failed(error) {
  setText(byId("events-said"), error instanceof Refused ? error.message : t("status.away"));
}
