/** The thread that takes the noise out of speech, so that the one with the connections does not stand still. */
import { parentPort, workerData } from "node:worker_threads";
import { RNNOISE_FRAME } from "./rnnoise.ts";
import { Blocks } from "./samples.ts";
import { SpeechFilter, type SpeechFilterOptions } from "./speech-filter.ts";

/** What the thread is told: samples (f32le, interleaved, 48 kHz) in portions of any size, or that there are no more. */
export type SpeechOrder = { readonly bytes: Uint8Array<ArrayBuffer> } | { readonly end: true };

/** What it answers to each: samples that are ready, perhaps none; or why it cannot go on. */
export type SpeechAnswer = { readonly bytes: Uint8Array<ArrayBuffer> } | { readonly problem: string };

/** Blocks of RNNoise's that are worked on at a time: 80 ms. */
const PORTION = 8 * RNNOISE_FRAME;

const options = workerData as SpeechFilterOptions;
const filter = SpeechFilter.create(options);
const ready: Float32Array[] = [];

filter.catch((error: unknown) => answer({ problem: String(error) }));
const blocks = filter.then(
  (made) =>
    new Blocks(PORTION * options.channels, (block, real) => {
      ready.push(made.add(block, Math.floor(real / options.channels)));
    }),
);
blocks.catch(() => undefined);

parentPort?.on("message", (order: SpeechOrder) => {
  void work(order).catch((error: unknown) => answer({ problem: String(error) }));
});

async function work(order: SpeechOrder): Promise<void> {
  const waiting = await blocks;
  if ("bytes" in order) waiting.add(order.bytes);
  else {
    waiting.end();
    ready.push((await filter).end());
  }
  const samples = new Float32Array(ready.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of ready.splice(0)) {
    samples.set(piece, at);
    at += piece.length;
  }
  answer({ bytes: new Uint8Array(samples.buffer) });
}

function answer(message: SpeechAnswer): void {
  parentPort?.postMessage(message, "bytes" in message ? [message.bytes.buffer] : []);
}
