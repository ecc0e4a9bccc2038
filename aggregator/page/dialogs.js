// Dialogs: each can be closed by its button and by Escape, and gives the focus back.

import { byId, setText } from "./dom.js";

/** Lets every dialog be closed by its button. */
export function prepareDialogs() {
  for (const close of document.querySelectorAll("dialog .close")) {
    close.addEventListener("click", () => close.closest("dialog")?.close());
  }
}

/**
 * Asks before something that cannot be taken back.
 * @param {string} title
 * @param {string} question
 * @param {string} yes the text of the button
 * @returns {Promise<boolean>}
 */
export function confirmed(title, question, yes) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("confirm-dialog"));
  setText(byId("confirm-title"), title);
  setText(byId("confirm-text"), question);
  setText(byId("confirm-yes"), yes);
  return new Promise((resolve) => {
    const agree = () => dialog.close("yes");
    byId("confirm-yes").addEventListener("click", agree, { once: true });
    dialog.returnValue = "";
    dialog.addEventListener(
      "close",
      () => {
        byId("confirm-yes").removeEventListener("click", agree);
        resolve(dialog.returnValue === "yes");
      },
      { once: true },
    );
    dialog.showModal();
  });
}

/** Shows the help, or closes it. */
export function toggleHelp() {
  const help = /** @type {HTMLDialogElement} */ (byId("help-dialog"));
  if (help.open) help.close();
  else help.showModal();
}
