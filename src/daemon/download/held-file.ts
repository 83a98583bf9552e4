/** What is here of a file that still comes, for those who give it on. */
import type { HeldPart } from "../core/ports/sources.ts";
import type { PlannedFile } from "./planned-file.ts";

/** The chunks of a planned file. */
export class HeldFile implements HeldPart {
  readonly #file: Pick<PlannedFile, "part" | "chunkSize" | "done">;
  readonly #listeners = new Set<(index: number) => void>();

  constructor(file: Pick<PlannedFile, "part" | "chunkSize" | "done">) {
    this.#file = file;
  }

  get done(): HeldPart["done"] {
    return this.#file.done;
  }

  get chunkSize(): number {
    return this.#file.chunkSize;
  }

  read(position: number, length: number): Promise<Uint8Array> {
    return this.#file.part.read(position, length);
  }

  onGained(listener: (index: number) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** A chunk is here from now on. */
  gained(index: number): void {
    for (const listener of this.#listeners) listener(index);
  }
}
