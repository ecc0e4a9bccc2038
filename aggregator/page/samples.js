// The counters as they were, as far back as the small curves go.

/** @typedef {import("api-types").components["schemas"]["Sample"]} Sample */

/** How far back samples are kept, in milliseconds. */
export const KEPT = 5 * 60_000;
/** Most samples that are kept: with one every two seconds, they reach as far back as KEPT. */
const MAX_KEPT = 200;

export class Samples {
  /** @type {{ at: number, sample: Omit<Sample, "at"> }[]} */
  #kept = [];

  /**
   * Adds a sample, unless one of a later moment is there.
   * @param {number} at in milliseconds since 1970
   * @param {Omit<Sample, "at">} sample
   */
  add(at, sample) {
    const last = this.#kept.at(-1);
    if (last && last.at >= at) return;
    this.#kept.push({ at, sample });
    const tooOld = this.#kept.findIndex((kept) => kept.at >= at - KEPT);
    this.#kept.splice(0, Math.max(tooOld, this.#kept.length - MAX_KEPT));
  }

  /** All of them, oldest first. */
  get all() {
    return this.#kept;
  }
}
