/** This side of the thread that filters speech: hands it samples, and what comes back to a sink; holds the sender back. */
import { Worker } from "node:worker_threads";
import { failure } from "../core/errors.ts";
import type { ByteSink } from "../core/ports/http.ts";
import type { SpeechAnswer, SpeechOrder } from "./rnnoise-worker.ts";
import type { SpeechFilterOptions } from "./speech-filter.ts";
import { workerUrl } from "./worker-url.ts";

/** Portions that may be under way: enough to keep the thread busy, little enough to hold in memory. */
const MOST_UNDER_WAY = 8;

/** A thread that filters one stream. Disposed of, it is gone. */
export class SpeechThread implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #sink: ByteSink;
  #problem: unknown;
  #underWay = 0;
  #wake = Promise.withResolvers<void>();
  #writing: Promise<void> = Promise.resolve();

  /** @param sink - takes what is ready (f32le, interleaved, 48 kHz), in order */
  constructor(options: SpeechFilterOptions, sink: ByteSink) {
    this.#sink = sink;
    this.#worker = new Worker(workerUrl("rnnoise-worker"), { workerData: options });
    this.#worker.on("message", (answer: SpeechAnswer) => this.#take(answer));
    this.#worker.on("error", (error) => this.#fail(error.message));
    this.#worker.on("exit", () => this.#fail("it has ended"));
  }

  /** Takes samples (f32le, interleaved, 48 kHz) in portions of any size; resolves when it can take more. */
  async add(bytes: Uint8Array): Promise<void> {
    await this.#until(MOST_UNDER_WAY - 1);
    const copy = Uint8Array.from(bytes);
    this.#send({ bytes: copy }, [copy.buffer]);
  }

  /** No more samples come; resolves when the sink has all. */
  async end(): Promise<void> {
    this.#send({ end: true }, []);
    await this.#until(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }

  #send(order: SpeechOrder, transfer: ArrayBuffer[]): void {
    this.#underWay++;
    this.#worker.postMessage(order, transfer);
  }

  async #until(most: number): Promise<void> {
    while (this.#problem === undefined && this.#underWay > most) await this.#wake.promise;
    if (this.#problem !== undefined) throw this.#problem;
  }

  #take(answer: SpeechAnswer): void {
    if ("problem" in answer) {
      this.#fail(answer.problem);
      return;
    }
    this.#writing = this.#writing
      .then(() => this.#sink(answer.bytes))
      .catch((error: unknown) => {
        this.#problem ??= error;
      })
      .then(() => {
        this.#underWay--;
        this.#wakeUp();
      });
  }

  #fail(why: string): void {
    this.#problem ??= failure("INTERNAL", `the thread that filters speech failed: ${why}`);
    this.#wakeUp();
  }

  #wakeUp(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}
