/**
 * Which ports a router has opened for us, in a small file: a program that is killed leaves them open behind it, and removes them
 * when it starts again. What is in it is a hint: a file that cannot be read, or is not right, is left out.
 */
import { readFile, rm } from "node:fs/promises";
import type { Clock } from "../../core/ports/runtime.ts";
import { writePrivately } from "../private-file.ts";
import type { PortMapper } from "./port-mapper.ts";

/** One of them. */
export interface OpenPort {
  readonly by: PortMapper["name"];
  readonly internalPort: number;
  readonly externalPort: number;
  /** Milliseconds since the epoch at which the router forgets it; 0: never. */
  readonly until: number;
}

/** Ports that are kept: of a few runs that were killed. */
const MOST = 16;

/** The file. */
export class MappedPorts {
  readonly #file: string;
  readonly #clock: Clock;
  #writing: Promise<void> = Promise.resolve();

  constructor(file: string, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
  }

  /** What an earlier run has left open, as far as the router does not know better. Never rejects. */
  async read(): Promise<readonly OpenPort[]> {
    const text = await readFile(this.#file, "utf8").catch(() => "");
    if (text.length > 16 * 1024) return [];
    try {
      const value: unknown = JSON.parse(text);
      const now = this.#clock.now();
      const ports = Array.isArray(value) ? value.slice(0, MOST).flatMap((one: unknown) => openPort(one) ?? []) : [];
      return ports.filter(({ until }) => until === 0 || until > now);
    } catch {
      return [];
    }
  }

  /** These are open now, or may be. The file is there when it resolves; without any there is none. @throws Error of node:fs */
  write(ports: readonly OpenPort[]): Promise<void> {
    const text = JSON.stringify(ports.slice(-MOST));
    const empty = ports.length === 0;
    const write = (): Promise<void> => (empty ? rm(this.#file, { force: true }) : writePrivately(this.#file, text));
    const written = this.#writing.then(write);
    this.#writing = written.catch(() => undefined);
    return written;
  }
}

function openPort(value: unknown): OpenPort | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { by, internalPort, externalPort, until }: Partial<Record<keyof OpenPort, unknown>> = value;
  const isPort = (port: unknown): port is number => Number.isInteger(port) && Number(port) > 0 && Number(port) < 65_536;
  if ((by !== "upnp" && by !== "nat-pmp") || !isPort(internalPort) || !isPort(externalPort)) return undefined;
  return typeof until === "number" ? { by, internalPort, externalPort, until } : undefined;
}
