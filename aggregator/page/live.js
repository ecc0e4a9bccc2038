// Asking again and again: some time after the last answer, later if the server asks for it or is away, and not at all while
// the page is hidden or paused.

import { Away, Refused } from "./api.js";

/** The pause after an answer, in milliseconds. */
const PAUSE = 2_000;
/** The longest pause. */
const MAX_PAUSE = 30_000;

export class Live {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #failures = 0;
  #asking = false;
  #paused = false;

  /**
   * @param {() => Promise<void>} look asks for everything that is shown
   * @param {(error: unknown) => void} failed is told why that did not work
   */
  constructor(look, failed) {
    this.look = look;
    this.failed = failed;
    document.addEventListener("visibilitychange", () => this.now());
  }

  get paused() {
    return this.#paused;
  }

  set paused(paused) {
    this.#paused = paused;
    this.now();
  }

  /** Asks now, unless it is paused, hidden, or asking already. */
  now() {
    clearTimeout(this.#timer);
    if (!this.#asking && !this.#paused && !document.hidden) void this.#ask();
  }

  async #ask() {
    this.#asking = true;
    let pause = PAUSE;
    try {
      await this.look();
      this.#failures = 0;
    } catch (error) {
      this.#failures++;
      pause = this.#pauseAfter(error);
      this.failed(error);
    }
    this.#asking = false;
    if (!this.#paused && !document.hidden) this.#timer = setTimeout(() => this.now(), pause);
  }

  /** @param {unknown} error */
  #pauseAfter(error) {
    const longer = Math.min(PAUSE * 2 ** (this.#failures - 1), MAX_PAUSE);
    if (error instanceof Refused && error.retryAfter !== null) return Math.max(longer, error.retryAfter * 1_000);
    // A server that is away may come back at any moment, and costs nothing meanwhile.
    return error instanceof Away ? PAUSE : longer;
  }
}
