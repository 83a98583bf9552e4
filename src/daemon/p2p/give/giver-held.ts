/**
 * What of an unfinished share is here, told to a peer: a map for each file of which something is here, then each chunk that
 * comes. Of what nothing was said nothing is here.
 */
import { chunkCount } from "../../core/manifest.ts";
import { FRAME, type FrameType, type Servable } from "../types.ts";
import { number32 } from "./giver-words.ts";

/** A file as its catalogue describes it. */
export interface GivenFile {
  readonly size: number;
  readonly chunkSize: number;
}

/** All files of a share, by index. */
export type GivenFiles = readonly GivenFile[];

/** Sends a frame. @returns resolves when more should be sent */
type Send = (type: FrameType, ...parts: readonly Uint8Array[]) => Promise<void>;

/** Chunks that wait to be told one by one; where more come before the peer has heard of them, it is told file by file. */
const MOST_UNTOLD = 1024;

/** Tells what is here, and goes on telling what comes until it is stopped. `done` rejects with what goes wrong. */
export function sendHeld(
  servable: Servable,
  files: (servable: Servable) => Promise<GivenFiles>,
  send: Send,
): { readonly stop: () => void; readonly done: Promise<void> } {
  let stopped = false;
  /** Chunks that came and were not told yet. */
  const gained: (readonly [file: number, chunk: number])[] = [];
  /** Files of which so many came that a map tells it sooner. */
  const grown = new Set<number>();
  let news = Promise.withResolvers<void>();
  // Listened to before the first map is made: a chunk is told twice rather than never.
  const stopListening = servable.onGained((file, chunk) => {
    if (grown.has(file) || gained.length >= MOST_UNTOLD) grown.add(file);
    else gained.push([file, chunk]);
    news.resolve();
  });
  const run = async (): Promise<void> => {
    const all = await files(servable);
    const tellMap = async (file: number): Promise<void> => {
      const map = heldMap(servable, file, all[file]);
      if (map) await send(FRAME.haveMap, number32(file), map);
    };
    for (let file = 0; file < all.length && !stopped; file++) await tellMap(file);
    for (;;) {
      await news.promise;
      news = Promise.withResolvers();
      while (gained.length + grown.size > 0 && !stopped) {
        for (const [file, chunk] of gained.splice(0))
          if (!stopped) await send(FRAME.have, number32(file), number32(chunk));
        for (const file of grown) {
          if (stopped) break;
          grown.delete(file);
          await tellMap(file);
        }
      }
      if (stopped) return;
    }
  };
  const stop = (): void => {
    stopped = true;
    stopListening();
    news.resolve();
  };
  return { stop, done: run() };
}

/** A bit for each chunk, the first in the highest bit; undefined if none is here. */
function heldMap(servable: Servable, file: number, described: GivenFile | undefined): Buffer | undefined {
  if (!described) return undefined;
  const count = chunkCount(described.size, described.chunkSize);
  const held = servable.held(file);
  const bits = Buffer.alloc(Math.ceil(count / 8));
  let any = false;
  for (let chunk = 0; chunk < count; chunk++) {
    if (held !== "all" && !held.has(chunk)) continue;
    any = true;
    bits[chunk >> 3] = (bits[chunk >> 3] ?? 0) | (0x80 >> (chunk & 7));
  }
  return any ? bits : undefined;
}
