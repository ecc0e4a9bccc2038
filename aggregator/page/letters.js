// Dead letters by reason, and what can be done about them.

import { Refused, discard, letters, replay } from "./api.js";
import { confirmed } from "./dialogs.js";
import { byId, button, element, setText } from "./dom.js";
import { counted, number, short, t } from "./language.js";

/** @typedef {import("api-types").components["schemas"]["DeadLetter"]} Letter */

/** How many of the newest letters are shown, by reason. They can be replayed at once. */
const PAGE = 1_000;
/** How much of a letter is shown, in characters. */
const SHORT = 160;

export class Letters {
  /** @type {Letter[]} */
  #letters = [];
  #more = false;
  #counted = -1;
  #mayChange = false;
  #busy = false;

  /** @param {boolean} may whether the key has the scope admin */
  set mayChange(may) {
    this.#mayChange = may;
    byId("letters-readonly").hidden = may;
    this.render();
  }

  /** @param {number} count what the counter says; if it has not changed, nothing is asked for */
  async look(count) {
    if (count === this.#counted) return;
    const page = await letters({ order: "newest", limit: String(PAGE) });
    this.#counted = count;
    this.#letters = page.dead_letters;
    this.#more = page.next_cursor !== null;
    this.render();
  }

  render() {
    setText(byId("letters-total"), counted("letters.total", this.#letters.length, this.#more));
    byId("letters-none").hidden = this.#letters.length > 0;
    /** @type {Map<string, Letter[]>} */
    const groups = new Map();
    for (const letter of this.#letters) groups.set(letter.reason, [...(groups.get(letter.reason) ?? []), letter]);
    const rows = [...groups].map(([reason, group]) => this.#row(reason, group));
    document.querySelector("#letters-table tbody")?.replaceChildren(...rows);
  }

  /**
   * @param {string} reason
   * @param {Letter[]} group
   */
  #row(reason, group) {
    const ids = group.map((letter) => letter.id);
    const first = group[0];
    const content = first?.raw ?? first?.raw_hex ?? "";
    const actions = this.#mayChange
      ? [
          button(t("letters.try"), () => void this.#act(() => this.#try(ids))),
          button(t("letters.replay"), () => void this.#act(() => this.#replay(ids))),
          button(t("letters.discard"), () => void this.#act(() => this.#discard(ids)), { class: "bad" }),
        ]
      : [];
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, reason),
      element("td", { class: "number" }, number(group.length)),
      element("td", {}, first ? short(first.failed_at) : ""),
      element("td", { class: "code" }, content.length > SHORT ? `${content.slice(0, SHORT)}…` : content),
      element("td", {}, element("div", { class: "row" }, ...actions)),
    );
  }

  /**
   * One at a time.
   * @param {() => Promise<string | null>} action says what came of it; null: nothing was done
   */
  async #act(action) {
    if (this.#busy) return;
    this.#busy = true;
    const said = byId("letters-said");
    try {
      setText(said, (await action()) ?? "");
    } catch (error) {
      setText(said, error instanceof Refused ? error.message : t("status.away"));
    }
    this.#busy = false;
    this.#counted = -1;
  }

  /** @param {number[]} ids */
  async #try(ids) {
    return t("letters.wouldBe", outcome(await replay(ids, true)));
  }

  /** @param {number[]} ids */
  async #replay(ids) {
    const sure = await confirmed(t("letters.replay"), counted("letters.replayQuestion", ids.length), t("letters.replay"));
    return sure ? t("letters.replayed", outcome(await replay(ids, false))) : null;
  }

  /** @param {number[]} ids */
  async #discard(ids) {
    const sure = await confirmed(t("letters.discard"), counted("letters.discardQuestion", ids.length), t("letters.discard"));
    if (!sure) return null;
    let done = 0;
    for (const id of ids) {
      await discard(id);
      setText(byId("letters-said"), t("letters.discarding", { n: number(++done), all: number(ids.length) }));
    }
    return t("letters.discarded", { n: number(done) });
  }
}

/** @param {import("api-types").components["schemas"]["Replayed"]} replayed */
function outcome(replayed) {
  return {
    accepted: number(replayed.accepted),
    duplicates: number(replayed.duplicates),
    refused: number(replayed.refused.length),
  };
}
