/** Puts an {@link Exchange} under undici's dispatch. */
import type { IncomingHttpHeaders } from "node:http";
import type { Dispatcher } from "undici";
import type { Exchange } from "./exchange.ts";

/** The handler of one dispatch. */
export class UndiciHandler implements Dispatcher.DispatchHandler {
  readonly #exchange: Exchange;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#exchange.onStart(controller);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, fields: IncomingHttpHeaders): void {
    // An interim answer (RFC 9110 §15.2): the real one follows, within the time that it has in any case.
    if (status < 200) return;
    const headers = new Map<string, string>();
    for (const [name, value] of Object.entries(fields)) {
      if (value !== undefined)
        headers.set(name, Array.isArray(value) ? value.join(name === "set-cookie" ? "\n" : ", ") : value);
    }
    this.#exchange.onHead({ status, headers });
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    // A resumed parser is first run on nothing, and reports that as a piece. Pausing on it again would never end.
    if (chunk.length > 0) this.#exchange.onData(chunk, false);
  }

  onResponseEnd(): void {
    this.#exchange.onEnd();
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#exchange.onError(error);
  }
}
