// Light or dark: as the system says, unless the reader chose.

import { byId } from "./dom.js";
import { t } from "./language.js";

/** @type {("auto" | "light" | "dark")[]} */
const THEMES = ["auto", "light", "dark"];

/** @type {Set<() => void>} */
const listeners = new Set();

function chosen() {
  const theme = localStorage.getItem("theme");
  return theme === "light" || theme === "dark" ? theme : "auto";
}

/** Shows which theme is chosen. */
export function renderTheme() {
  byId("theme").textContent = t(`theme.${chosen()}`);
}

/**
 * Calls this whenever the colours change.
 * @param {() => void} listener
 */
export function onTheme(listener) {
  listeners.add(listener);
}

/** Lets the reader choose. */
export function offerThemes() {
  byId("theme").addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(chosen()) + 1) % THEMES.length] ?? "auto";
    localStorage.setItem("theme", next);
    if (next === "auto") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = next;
    renderTheme();
    for (const listener of listeners) listener();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const listener of listeners) listener();
  });
}
