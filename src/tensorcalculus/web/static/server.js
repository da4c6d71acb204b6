// Requests to the server: one of a kind at a time, older ones given up, a busy server asked again.

const PATIENCE = 6; // tries while the server says that it is busy

/** The server's answer was an error; `what` is its record. */
export class Refused extends Error {
  constructor(status, what) {
    super(what.message);
    this.status = status;
    this.what = what;
  }
}

/** No answer came. */
export class Gone extends Error {}

const wait = (seconds, signal) => new Promise((done, fail) => {
  const timer = setTimeout(done, seconds * 1000);
  signal.addEventListener("abort", () => { clearTimeout(timer); fail(signal.reason); }, { once: true });
});

async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Gone("The server does not answer.");
  }
  let record = null;
  try {
    record = await response.json();
  } catch (error) {
    if (options.signal?.aborted) throw error;
  }
  if (response.ok && record !== null) return record;
  const after = Number(response.headers.get("Retry-After"));
  const what = record?.error ?? { message: `The server answered with the status ${response.status}.` };
  const refused = new Refused(response.status, what);
  refused.after = after > 0 ? Math.min(after, 30) : 1;
  throw refused;
}

export const get = (url) => ask(url, {});

/** Asks for a derivative; a call ends the one before it. */
export class Asker {
  #current = null;

  get busy() { return this.#current !== null; }

  stop() {
    this.#current?.abort();
    this.#current = null;
  }

  /** The answer, or null where a later call or `stop` came between. */
  async derive(request, onBusy = () => {}) {
    this.stop();
    const controller = new AbortController();
    this.#current = controller;
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          return await ask("api/derive", {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body: JSON.stringify(request),
            signal: controller.signal,
          });
        } catch (error) {
          if (!(error instanceof Refused) || error.status !== 429 || attempt === PATIENCE) throw error;
          onBusy(error.after);
          await wait(error.after, controller.signal);
        }
      }
    } catch (error) {
      if (controller.signal.aborted) return null;
      throw error;
    } finally {
      if (this.#current === controller) this.#current = null;
    }
  }
}
