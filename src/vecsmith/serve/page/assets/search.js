// One search at a time: a newer one ends the older, and a late answer is dropped.
import { ask, pause, ServerError } from "./api.js";
import { filterOf } from "./state.js";

const FIRST = 20;
const STEPS = [FIRST, 50, 100];
const AGAIN_AFTER = 4000;

export class Search {
  #running = null;
  #k = FIRST;

  /** Handlers: `begin`, `found(answer, milliseconds)`, `failed(error)`, `empty()`. */
  constructor(handlers) {
    this.handlers = handlers;
    this.answer = null;
  }

  /** Search anew from a state. */
  start(value) {
    this.#k = FIRST;
    return this.#run(value);
  }

  /** The next larger number of results, or null where there are no more. */
  get more() {
    if (!this.answer || this.answer.hits.length < this.#k) return null;
    return STEPS.find((step) => step > this.#k) ?? null;
  }

  /** The same search with more results. */
  longer(value) {
    this.#k = this.more ?? this.#k;
    return this.#run(value);
  }

  async #run(value) {
    this.#running?.abort();
    const query = value.q.trim();
    if (!query) {
      this.#running = null;
      this.answer = null;
      this.handlers.empty();
      return;
    }
    const running = new AbortController();
    this.#running = running;
    this.handlers.begin();
    const begun = performance.now();
    try {
      // The page folds away what fails the cut-off, so it asks for that too.
      const body = { query, k: this.#k, mode: value.mode || null, cutoff: false };
      const filter = filterOf(value);
      if (filter) body.filter = filter;
      const answer = await ask("v1/search", { body, signal: running.signal });
      if (running.signal.aborted) return;
      this.answer = answer;
      this.handlers.found(answer, performance.now() - begun);
    } catch (error) {
      if (running.signal.aborted) return;
      this.answer = null;
      this.handlers.failed(error);
      if (error instanceof ServerError && error.status === 0) this.#later(value, running);
    }
  }

  // A server that was gone may be back; a newer search, or success, ends the trying.
  async #later(value, running) {
    try {
      await pause(AGAIN_AFTER, running.signal);
    } catch {
      return;
    }
    if (this.#running === running) this.#run(value);
  }
}

/** Call a function once it has been left alone for a while; `flush` calls it at once. */
export function patient(work, milliseconds) {
  let timer = 0;
  const later = (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), milliseconds);
  };
  later.flush = (...given) => {
    clearTimeout(timer);
    work(...given);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}
