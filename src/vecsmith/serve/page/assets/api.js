// Calls of the server: its errors in words, the key when it is asked for, patience when it is busy.
import { askForKey } from "./key.js";

/** What went wrong, in words for a person; status 0 means that no answer came. */
export class ServerError extends Error {
  constructor(status, message) {
    super(message);
    this.name = "ServerError";
    this.status = status;
  }
}

/** Fires "index" when answers come from another generation of the index, "busy" while waiting. */
export const server = new EventTarget();

const WORDS = {
  404: "The server no longer has this.",
  408: "The request took too long to arrive.",
  409: "The index has changed.",
  413: "This is too long for the server.",
  503: "The server is stopping.",
  504: "The server took too long to answer.",
};
const MOST_TRIES = 6;
const LONGEST_WAIT = 30;
let generation = null;

/** The generation of the index that answered last. */
export const currentIndex = () => generation;

/** Call the server; `as` is "json", "text", "bytes". */
export async function ask(path, { body, signal, as = "json" } = {}) {
  for (let tries = 1; ; tries += 1) {
    const answer = await reach(path, body, signal);
    if (answer.ok) {
      notice(answer);
      return read(answer, as, signal);
    }
    if (answer.status === 401) {
      if (!(await askForKey())) throw new ServerError(401, "This server asks for a key.");
      signal?.throwIfAborted();
    } else if (answer.status === 429 && tries < MOST_TRIES) {
      const seconds = wait(answer.headers.get("Retry-After"));
      server.dispatchEvent(new CustomEvent("busy", { detail: seconds }));
      await pause(1000 * seconds, signal);
    } else {
      throw new ServerError(answer.status, await words(answer));
    }
  }
}

async function reach(path, body, signal) {
  const post = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  try {
    return await fetch(path, { ...post, signal, cache: "no-store", credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError(0, "The server cannot be reached. Is it still running?");
  }
}

async function read(answer, as, signal) {
  try {
    if (as === "bytes") return await answer.arrayBuffer();
    return await (as === "text" ? answer.text() : answer.json());
  } catch (error) {
    signal?.throwIfAborted();
    throw new ServerError(0, `The answer of the server broke off (${error.message}).`);
  }
}

function notice(answer) {
  const found = answer.headers.get("X-Vecsmith-Index");
  if (!found || found === generation) return;
  const changed = generation !== null;
  generation = found;
  if (changed) server.dispatchEvent(new Event("index"));
}

async function words(answer) {
  const known = WORDS[answer.status];
  if (answer.status === 429) return "The server is busy; try again in a moment.";
  try {
    const { error } = await answer.json();
    if (error?.message && (answer.status === 400 || !known)) return `The server says: ${error.message}`;
  } catch {
    /* not JSON: the status has to do */
  }
  return known ?? `The server answered with status ${answer.status}.`;
}

function wait(header) {
  const seconds = Number.parseFloat(header ?? "");
  return Math.min(LONGEST_WAIT, Math.max(0.2, Number.isFinite(seconds) ? seconds : 1));
}

/** Wait, unless the signal ends it. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}
