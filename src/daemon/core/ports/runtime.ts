/** Time, words and memory, as every room needs them. */

/** Time, so that tests can hold it. */
export interface Clock {
  /** Milliseconds since the epoch; may jump. */
  now(): number;
  /** Milliseconds from an arbitrary start; never goes back. For timeouts and rates. */
  monotonic(): number;
  /** Resolves after `ms`; rejects with the signal's reason if it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls back once after `ms` (any length); the returned function calls it off. Never keeps the process alive. */
  timer(ms: number, callback: () => void): () => void;
}

/** Structured log; the object comes first, as in pino. Secrets are the caller's to keep out. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Logger;
}

/** How short memory is: 0 there is enough, 1 it is short, 2 it is very short. */
export type PressureLevel = 0 | 1 | 2;

/** Memory as it is now, in bytes. */
export interface MemoryReport {
  readonly level: PressureLevel;
  /** Resident memory of this process. */
  readonly processBytes: number;
  /** Whose limit is the nearest: "machine", or a control group's path. */
  readonly limitedBy: string;
  readonly limitBytes: number;
  readonly usedBytes: number;
}

/** Says how short memory is. */
export interface MemoryPressure {
  readonly level: PressureLevel;
  /** There is work: memory is watched until it has ended. Cheap; to be called often. */
  wake(): void;
  /** Calls back when memory became shorter, and when work has ended: what is kept in reserve is to be let go. @returns ends it */
  onRelease(listener: () => void): () => void;
  /** Reads memory anew. */
  report(): MemoryReport;
}
