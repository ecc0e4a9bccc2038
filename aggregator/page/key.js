// The API key: kept for this tab, and sent as a header only.

const NAME = "key";

/** @returns {string | null} */
export function key() {
  return sessionStorage.getItem(NAME);
}

/** @param {string} text */
export function setKey(text) {
  sessionStorage.setItem(NAME, text);
}

/** Forgets a key that the server does not take. */
export function forgetKey() {
  sessionStorage.removeItem(NAME);
}
