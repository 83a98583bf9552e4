/** The last lines of what FFmpeg logs, in bounded memory whatever it logs, and fit to be shown. */
import { StringDecoder } from "node:string_decoder";
import { redactUrl } from "../../shared/redact.ts";

/** Lines kept. */
const KEPT = 30;
/** Characters of a line that are kept. */
const LONGEST = 500;

/** Takes a log as it comes. */
export class LogTail {
  readonly #lines: string[] = [];
  readonly #decoder = new StringDecoder("utf8");
  readonly #onLine: ((line: string) => void) | undefined;
  #rest = "";

  /** @param onLine - called with each line, as it is up to the first 64 KiB */
  constructor(onLine?: (line: string) => void) {
    this.#onLine = onLine;
  }

  add(bytes: Buffer): void {
    const parts = (this.#rest + this.#decoder.write(bytes)).split(/\r\n|[\r\n]/);
    this.#rest = (parts.pop() ?? "").slice(0, 65_536);
    for (const line of parts) this.#take(line);
  }

  /** The last lines without secrets and control characters, the newest last. */
  lines(): readonly string[] {
    const all = this.#rest.trim() === "" ? this.#lines : [...this.#lines, this.#rest];
    return all.slice(-KEPT).map(shown);
  }

  #take(line: string): void {
    if (line.trim() === "") return;
    this.#onLine?.(line);
    this.#lines.push(line.slice(0, LONGEST));
    if (this.#lines.length > KEPT) this.#lines.shift();
  }
}

/** File names come from outside: URLs in them lose their secrets, and the terminal is told nothing. */
function shown(line: string): string {
  return line
    .slice(0, LONGEST)
    .replace(/\b[a-z][a-z0-9+.-]*:\/\/[^\s'"]+/gi, redactUrl)
    .replace(/\p{Cc}/gu, "�");
}
