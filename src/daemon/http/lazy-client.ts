/** The client, made at its first request: what it is built on takes a tenth of an idle daemon's memory. */
import { failure } from "../core/errors.ts";
import type { HttpClient, HttpRequest, HttpResponse } from "../core/ports/http.ts";
import type { UndiciClient } from "./client.ts";

/** An {@link UndiciClient} that is loaded when it is needed. */
export class LazyClient implements HttpClient, AsyncDisposable {
  readonly #init: ConstructorParameters<typeof UndiciClient>;
  #client: Promise<UndiciClient> | undefined;
  #ended = false;

  /** As {@link UndiciClient}'s. */
  constructor(...init: ConstructorParameters<typeof UndiciClient>) {
    this.#init = init;
  }

  /** @throws NetworkError; DownloadError SHUTTING_DOWN after the end */
  async request(request: HttpRequest, signal?: AbortSignal): Promise<HttpResponse> {
    if (this.#ended) throw failure("SHUTTING_DOWN", "the HTTP client has ended");
    this.#client ??= import("./client.ts").then((module) => new module.UndiciClient(...this.#init));
    return (await this.#client).request(request, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    await (await this.#client)?.[Symbol.asyncDispose]();
  }
}
