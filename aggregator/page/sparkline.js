// A small curve without axes. The number beside it says the same to those who do not see it.

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = 120;
const HEIGHT = 28;

/** A curve that is empty. */
export function sparkline() {
  const svg = document.createElementNS(NAMESPACE, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "sparkline");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(NAMESPACE, "polyline"));
  return svg;
}

/**
 * Draws a curve anew.
 * @param {SVGSVGElement} svg
 * @param {{ at: number, rate: number }[]} points
 * @param {number} span how much time the curve covers, in milliseconds
 */
export function draw(svg, points, span) {
  const last = points.at(-1);
  const top = Math.max(1e-9, ...points.map((point) => point.rate));
  const places = last && points.length > 1
    ? points.map(({ at, rate }) => {
        const x = WIDTH - ((last.at - at) / span) * WIDTH;
        const y = HEIGHT - 2 - (Math.max(0, rate) / top) * (HEIGHT - 4);
        return `${x.toFixed(1)},${y.toFixed(1)}`;
      })
    : [];
  svg.firstElementChild?.setAttribute("points", places.join(" "));
}
