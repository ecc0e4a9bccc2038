// Whether all is well, in words.

import { byId, setText } from "./dom.js";
import { duration, number, t } from "./language.js";

/** A queue whose oldest event has waited for longer, in seconds, is behind. */
const BEHIND_AFTER = 10;

/** @typedef {import("api-types").components["schemas"]["Counters"]} Stats */

export class Health {
  /** @type {Stats | null} */
  #stats = null;
  /** @type {string | null} */
  #trouble = null;

  /**
   * @param {Stats} stats
   * @param {string | null} trouble
   */
  set(stats, trouble) {
    this.#stats = stats;
    this.#trouble = trouble;
    this.render();
  }

  /**
   * Shows a trouble beside the last values.
   * @param {string | null} trouble
   */
  trouble(trouble) {
    this.#trouble = trouble;
    this.render();
  }

  render() {
    const why = byId("health-why");
    why.hidden = this.#trouble === null;
    setText(why, this.#trouble ?? "");
    const stats = this.#stats;
    const state = this.#trouble !== null ? "unwell" : stats ? filled(stats) : null;
    if (state === null) return;
    byId("health").dataset["state"] = state;
    setText(byId("health-words"), t(`health.${state}`));
    if (!stats) return;
    const { pending, processing, limit, oldest_age_seconds: oldest } = stats.queue;
    const unknown = pending > 0 ? t("unknown") : t("health.nothing");
    setText(byId("health-oldest"), oldest === null ? unknown : duration(oldest));
    setText(byId("health-queue"), t("of", { n: number(pending), most: number(limit) }));
    /** @type {HTMLMeterElement} */ (byId("health-meter")).value = Math.min(1, pending / limit);
    setText(byId("health-processing"), number(processing));
    setText(byId("health-uptime"), duration(stats.uptime_seconds));
  }
}

/**
 * How the queue stands.
 * @param {Stats} stats
 */
function filled({ queue }) {
  if (queue.pending >= queue.limit) return "full";
  return (queue.oldest_age_seconds ?? 0) > BEHIND_AFTER ? "behind" : "well";
}
