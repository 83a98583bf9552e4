/** A program's output as lines for the log: cut where they are too long, and no more of them than anybody would read. */
import { once } from "node:events";
import type { Readable } from "node:stream";

/** Characters of a line, and of all output. */
const LONGEST_LINE = 2000;
const MOST_OUTPUT = 64 * 1024;

/**
 * Passes the lines of streams on. What is too much is read and dropped, so that the program never waits for its reader.
 *
 * @returns `done` when all streams have ended; `close` lets go of them
 */
export function passLinesOn(
  streams: readonly (Readable | null)[],
  onLine: (line: string) => void,
): { readonly done: Promise<unknown>; readonly close: () => void } {
  const open = streams.filter((stream) => stream !== null);
  let left = MOST_OUTPUT;
  const pass = (line: string): void => {
    if (left <= 0) return;
    const shown = line.slice(0, left);
    left -= shown.length + 1;
    onLine(left <= 0 ? `${shown} … (the rest of the output is left out)` : shown);
  };
  const ends = open.map((stream) => {
    stream.on("error", () => undefined);
    const lines = new Lines(pass);
    stream.setEncoding("utf8").on("data", (text: string) => lines.add(text));
    return once(stream, "close").then(() => lines.end());
  });
  return {
    done: Promise.all(ends),
    close: () => {
      for (const stream of open) stream.destroy();
    },
  };
}

/** Cuts text into lines. Holds no more than the longest of them. */
class Lines {
  readonly #pass: (line: string) => void;
  #line = "";
  #cut = false;

  constructor(pass: (line: string) => void) {
    this.#pass = pass;
  }

  add(text: string): void {
    const [first = "", ...more] = text.split("\n");
    this.#append(first);
    for (const piece of more) {
      this.end();
      this.#append(piece);
    }
  }

  end(): void {
    const line = this.#line.replace(/\r$/, "");
    if (line !== "") this.#pass(this.#cut ? `${line}…` : line);
    this.#line = "";
    this.#cut = false;
  }

  #append(text: string): void {
    const room = LONGEST_LINE - this.#line.length;
    this.#cut ||= text.length > room;
    this.#line += text.slice(0, room);
  }
}
