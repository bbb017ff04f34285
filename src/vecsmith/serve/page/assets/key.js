// Asks for the key once, however many calls wait for it, and trades it for the session's cookie.
import { byId } from "./text.js";

let asking = null;

const used = "vecsmith-session";
const flag = (value) => {
  try {
    if (value === undefined) return sessionStorage.getItem(used) !== null;
    if (value) sessionStorage.setItem(used, "1");
    else sessionStorage.removeItem(used);
  } catch {
    /* the button to forget the key is then not offered */
  }
  return Boolean(value);
};

/** Resolve to true when a key was accepted, to false when the reader declined. */
export function askForKey() {
  asking ??= show().finally(() => {
    asking = null;
  });
  return asking;
}

function show() {
  const dialog = byId("key");
  const field = byId("key-value");
  const words = byId("key-words");
  const form = byId("key-form");
  field.value = "";
  words.textContent = "";
  if (!dialog.open) dialog.showModal();
  field.focus();
  return new Promise((resolve) => {
    let accepted = false;
    const leave = new AbortController();
    const { signal } = leave;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      words.textContent = "";
      const problem = await trade(field.value.trim());
      if (problem) {
        words.textContent = problem;
        field.select();
        return;
      }
      accepted = true;
      dialog.close();
    }, { signal });
    byId("key-cancel").addEventListener("click", () => dialog.close(), { signal });
    dialog.addEventListener("close", () => {
      leave.abort();
      field.value = "";
      if (accepted) flag(true);
      offerToForget();
      resolve(accepted);
    }, { signal });
  });
}

async function trade(key) {
  // A header holds visible ASCII alone; anything else would make fetch throw.
  if (!/^[\x21-\x7e]+$/.test(key)) return "A key has letters, digits and signs, and no spaces.";
  try {
    const answer = await fetch("v1/session", {
      method: "POST",
      headers: { Authorization: `Bearer ${key}` },
    });
    if (answer.ok) return "";
    return answer.status === 401
      ? "The server does not know this key."
      : `The server answered ${answer.status}; try again in a moment.`;
  } catch {
    return "The server cannot be reached.";
  }
}

/** Show the button that ends the session: this tab began one, or the server needs a key and let us in. */
export function offerToForget(needed = false) {
  const button = byId("sign-out");
  if (!button) return;
  button.hidden = !(needed || flag());
  button.onclick = async () => {
    await fetch("v1/session", { method: "DELETE" }).catch(() => null);
    flag(false);
    location.reload();
  };
}
