/** Ctrl-C: the first one is a wish, the second one leaves at once. */
import { EXIT } from "../shared/errors.ts";

/** Aborts on the first SIGINT; the second one ends the process with 130. Disposal gives SIGINT back. */
export class Interrupt implements Disposable {
  readonly #controller = new AbortController();
  readonly #listener = () => {
    if (this.#controller.signal.aborted) process.exit(EXIT.interrupted);
    this.#controller.abort();
  };

  constructor() {
    process.on("SIGINT", this.#listener);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    process.off("SIGINT", this.#listener);
  }
}
