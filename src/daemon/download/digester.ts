/** Several digests of the same bytes at once: what is read is read once. */
import { createHash } from "node:crypto";
import { crc32c } from "../core/crc32c.ts";
import type { ChecksumAlgorithm, DigestAlgorithm } from "../core/session.ts";

const NODE_NAMES: Readonly<Record<ChecksumAlgorithm, string>> = {
  "sha-256": "sha256",
  "sha-512": "sha512",
  "sha-1": "sha1",
  md5: "md5",
};

/** Digests by algorithm, lower-case hex. */
export type Digests = ReadonlyMap<DigestAlgorithm, string>;

interface Running {
  update(bytes: Uint8Array): unknown;
  digest(encoding: "hex"): string;
}

/** Takes bytes in order, then tells their digests. */
export class Digester {
  readonly #running: ReadonlyMap<DigestAlgorithm, Running>;

  constructor(algorithms: Iterable<DigestAlgorithm>) {
    this.#running = new Map(
      [...algorithms].map((name) => [name, name === "crc32c" ? new Crc32c() : createHash(NODE_NAMES[name])]),
    );
  }

  update(bytes: Uint8Array): void {
    for (const running of this.#running.values()) running.update(bytes);
  }

  /** To be called once. */
  finish(): Digests {
    return new Map([...this.#running].map(([name, running]) => [name, running.digest("hex")]));
  }
}

class Crc32c implements Running {
  #value = 0;

  update(bytes: Uint8Array): void {
    this.#value = crc32c(bytes, this.#value);
  }

  digest(): string {
    return this.#value.toString(16).padStart(8, "0");
  }
}
