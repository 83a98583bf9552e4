/**
 * Answers of origins, kept in the vault and used again as RFC 9111 allows (http-caching.ts, validation.ts). What an answer
 * is good for is the business of whoever makes this: `take` reads its body, and says what of it is kept.
 *
 * One variant of each URL is kept, the last one asked for. An answer behind redirects is never fresh: they are followed each
 * time, and it is asked for on condition. The client may add logins and cookies of its own, which cannot be seen here; an
 * answer that varies by them is asked for on condition too. An error is kept only if the origin says for how long.
 */
import { DownloadError, failure, NetworkError } from "../core/errors.ts";
import type { HttpResponse } from "../core/ports/http.ts";
import { statusError } from "../core/status-error.ts";
import type { AnswerCacheParts, AnswerKind, Taken, Usable } from "./answer-kind.ts";
import { type KeptAnswer, readNote, writeNote } from "./answer-note.ts";
import { type Ask, flightKey } from "./ask.ts";
import {
  type CacheRequest,
  freshUntil,
  type Heuristic,
  mayServeOnError,
  mayStore,
  type Reuse,
  reuse,
  variedFields,
} from "./http-caching.ts";
import { SingleFlight } from "./single-flight.ts";
import { conditionalFields, confirms, keptFields, updatedFields } from "./validation.ts";

/** Fields that the client adds by itself: how they vary cannot be told here unless the caller gave them. */
const UNSEEN = ["authorization", "cookie", "user-agent"];

type Found = Usable & { readonly verdict: Reuse };

/** Answers of one kind. Disposal calls off what is being fetched. */
export class AnswerCache implements AsyncDisposable {
  readonly #parts: AnswerCacheParts;
  readonly #kind: AnswerKind;
  readonly #flights = new SingleFlight<Usable>();
  readonly #closing = new AbortController();
  readonly #background = new Set<Promise<void>>();

  constructor(parts: AnswerCacheParts, kind: AnswerKind) {
    this.#parts = parts;
    this.#kind = kind;
  }

  /** What is kept and may be used as it is. @throws DownloadError HTTP_* if that is an error of the origin's */
  async peek(ask: Ask): Promise<Usable | undefined> {
    const found = await this.#look(ask);
    return found !== undefined && isUsable(found.verdict) ? this.#give(found) : undefined;
  }

  /**
   * What is kept, if it may be used; else what the origin has. Callers who ask the same at the same time share one request.
   *
   * @throws NetworkError, ResourceError HTTP_* for statuses that are not of success, DownloadError CACHE_TOO_LARGE, and what
   *   `take` throws
   */
  async get(ask: Ask, signal?: AbortSignal): Promise<Usable> {
    signal?.throwIfAborted();
    const found = await this.#look(ask);
    if (found?.verdict === "stale-while-revalidate") this.#refresh(ask);
    if (found !== undefined && isUsable(found.verdict)) return this.#give(found);
    return this.#give(await this.#flights.run(flightKey(ask), signal, (all) => this.#obtain(ask, all)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(failure("SHUTTING_DOWN", "the cache is closed"));
    await Promise.all(this.#background);
  }

  /** Asks the origin while the stale answer is given out. */
  #refresh(ask: Ask): void {
    const done = this.#flights
      .run(flightKey(ask), undefined, (all) => this.#obtain(ask, all))
      .then(
        () => undefined,
        (error: unknown) =>
          this.#parts.logger.debug({ url: ask.shown, error: String(error) }, "a stale answer was not renewed"),
      )
      .finally(() => this.#background.delete(done));
    this.#background.add(done);
  }

  async #look(ask: Ask): Promise<Found | undefined> {
    const kept = await this.#parts.vault.get(this.#kind.kind, ask.key);
    const answer = kept && readNote(kept.entry.note);
    if (kept === undefined || answer === undefined) return undefined;
    return { answer, body: kept.body, verdict: this.#judge(ask, answer) };
  }

  #judge(ask: Ask, answer: KeptAnswer): Reuse {
    const verdict = reuse(answer, requestOf(ask), this.#parts.clock.now(), this.#heuristic());
    const unseen = UNSEEN.some((name) => answer.varied.has(name) && !ask.fields.has(name));
    if (unseen && verdict !== "unavailable") return "other-variant";
    return answer.redirected && isUsable(verdict) ? "validate" : verdict;
  }

  /** Asks the origin, unless somebody did since the caller looked. */
  async #obtain(ask: Ask, all: AbortSignal): Promise<Usable> {
    const found = await this.#look(ask);
    const wants = ask.fields.get("cache-control") ?? "";
    if (found !== undefined && isUsable(found.verdict) && found.verdict !== "stale-while-revalidate") return found;
    if (/(^|,)\s*only-if-cached\s*(,|$)/i.test(wants))
      throw failure("HTTP_SERVER_ERROR", `${ask.shown} is not in the cache, and only that was asked for (504)`, {
        retryable: false,
      });
    const late = new AbortController();
    const { clock, fetchTimeoutMs = 120_000 } = this.#parts;
    const timeout = failure("TIMED_OUT", `${ask.shown} was not here in whole after ${fetchTimeoutMs / 1000} s`);
    const stop = clock.timer(fetchTimeoutMs, () => late.abort(timeout));
    const signal = AbortSignal.any([all, late.signal, this.#closing.signal]);
    try {
      return await this.#fetch(ask, found, signal);
    } catch (error) {
      const unreachable = error instanceof NetworkError && error.retryable && !all.aborted;
      if (found !== undefined && unreachable && this.#standsIn(ask, found, undefined)) return found;
      throw error;
    } finally {
      stop();
    }
  }

  async #fetch(ask: Ask, found: Found | undefined, signal: AbortSignal): Promise<Usable> {
    const conditions = found ? conditionalFields(found.answer.headers, found.verdict !== "other-variant") : [];
    const { clock, client } = this.#parts;
    const { headers: given = [], ...who } = ask.options;
    const accept: [string, string][] = ask.fields.has("accept") ? [] : [["Accept", this.#kind.accept]];
    const requestTime = clock.now();
    const response = await client.request(
      { url: ask.url, ...who, headers: [...given, ...accept, ...conditions] },
      signal,
    );
    const { status, headers } = response;
    const came = { requestTime, responseTime: clock.now() };
    if (status === 304 && found !== undefined && conditions.length > 0) {
      response.cancel();
      if (response.url === found.answer.url && confirms(found.answer.headers, headers))
        return this.#confirmed(ask, found, response, came);
      return this.#fetch(ask, undefined, signal);
    }
    const success = status >= 200 && status < 300 && status !== 206;
    if (!success) {
      response.cancel();
      if (found !== undefined && this.#standsIn(ask, found, status)) return found;
    }
    let taken: Taken = { body: new Uint8Array(), found: null };
    try {
      if (success) taken = await this.#kind.take(response, this.#parts.limits().maxBytes);
    } catch (error) {
      // The origin has something else now: what was kept of it is of the past.
      if (error instanceof DownloadError && !(error instanceof NetworkError) && !signal.aborted) await this.#drop(ask);
      throw error;
    }
    const answer: KeptAnswer = {
      ...came,
      status,
      url: response.url,
      redirected: response.chain.length > 1,
      headers: keptFields(headers),
      varied: variedFields(headers, ask.fields),
      found: taken.found,
    };
    const until = this.#until(answer);
    const worth = until > answer.responseTime || (success && conditionalFields(answer.headers, true).length > 0);
    if (mayStore(requestOf(ask), status, headers) && worth) await this.#store(ask, answer, taken.body);
    else if (status < 500) await this.#drop(ask);
    return { answer, body: taken.body };
  }

  #standsIn(ask: Ask, { answer, verdict }: Found, status: number | undefined): boolean {
    const now = this.#parts.clock.now();
    return verdict !== "other-variant" && mayServeOnError(answer, requestOf(ask), status, now, this.#heuristic());
  }

  /** A 304: what is kept holds on, with the fields that it brings. */
  async #confirmed(
    ask: Ask,
    { answer: before, body }: Found,
    response: HttpResponse,
    came: Pick<KeptAnswer, "requestTime" | "responseTime">,
  ): Promise<Usable> {
    const headers = updatedFields(before.headers, response.headers);
    const redirected = response.chain.length > 1;
    const answer: KeptAnswer = { ...before, ...came, redirected, headers, varied: variedFields(headers, ask.fields) };
    // With its body: somebody may have put another one there in the meantime, of which this is not true.
    if (mayStore(requestOf(ask), answer.status, headers)) await this.#store(ask, answer, body);
    else await this.#drop(ask);
    return { answer, body };
  }

  async #store(ask: Ask, answer: KeptAnswer, body: Uint8Array): Promise<void> {
    const { kind } = this.#kind;
    const { vault } = this.#parts;
    try {
      const there = await vault.peek(kind, ask.key);
      // What a caller stored since the origin was asked counts more.
      if (there && readNote(there.note) === undefined && there.storedAt >= answer.requestTime) return;
      await vault.put(kind, ask.key, body, { expiresAt: this.#until(answer), note: writeNote(answer) });
    } catch (error) {
      this.#notKept(ask, error);
      // What was there before is older than what the caller now has.
      await this.#drop(ask);
    }
  }

  async #drop(ask: Ask): Promise<void> {
    await this.#parts.vault.remove(this.#kind.kind, ask.key).catch((error: unknown) => this.#notKept(ask, error));
  }

  /** The caller gets the answer all the same. */
  #notKept(ask: Ask, error: unknown): void {
    const code = error instanceof DownloadError ? error.code : undefined;
    this.#parts.logger.warn(
      { url: ask.shown, code, error: String(error) },
      `${ask.shown} could not be kept in the cache`,
    );
  }

  #until(answer: KeptAnswer): number {
    return answer.redirected ? answer.responseTime : freshUntil(answer, this.#heuristic());
  }

  #heuristic(): Heuristic {
    const { ttlSeconds } = this.#parts.limits();
    return { longest: ttlSeconds, without: ttlSeconds };
  }

  #give(usable: Usable): Usable {
    const { answer } = usable;
    if (answer.status >= 200 && answer.status < 300) return usable;
    throw statusError(answer, this.#parts.clock.now());
  }
}

function requestOf({ fields }: Ask): CacheRequest {
  return { method: "GET", headers: fields };
}

function isUsable(verdict: Reuse): boolean {
  return verdict === "fresh" || verdict === "stale-while-revalidate" || verdict === "stale-accepted";
}
