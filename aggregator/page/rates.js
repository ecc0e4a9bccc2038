// From counters to rates: differences of two samples are exact.

/** @typedef {"received" | "unique_processed" | "duplicate_dropped" | "dead_lettered"} Counter */
/** @typedef {{ at: number, sample: Record<Counter, number> }} Moment */

/**
 * How much a counter grew in each second between two moments that follow each other.
 * @param {readonly Moment[]} moments
 * @param {Counter} counter
 * @returns {{ at: number, rate: number }[]}
 */
export function rates(moments, counter) {
  const found = [];
  for (let next = 1; next < moments.length; next++) {
    const [from, to] = [moments[next - 1], moments[next]];
    if (!from || !to) continue;
    const grown = to.sample[counter] - from.sample[counter];
    found.push({ at: to.at, rate: (grown * 1_000) / (to.at - from.at) });
  }
  return found;
}

/** How long ago the present rate begins, in milliseconds. */
const PRESENT = 10_000;

/**
 * The rate of the last seconds; null if it is not known yet.
 * @param {readonly Moment[]} moments
 * @param {Counter} counter
 */
export function present(moments, counter) {
  const last = moments.at(-1);
  const first = last && moments.find((moment) => moment.at >= last.at - PRESENT);
  if (!last || !first || first === last) return null;
  return ((last.sample[counter] - first.sample[counter]) * 1_000) / (last.at - first.at);
}
