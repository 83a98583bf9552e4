/**
 * The catalogue of misbehaving origins, by name. Start one with {@link startOrigin}; each is a fresh server on loopback, on
 * a port of its own, that remembers what it was asked.
 */
import { framingFaults } from "./framing.ts";
import { type Call, type Origin, type Resource, resourceOf, serve } from "./origin.ts";
import { rangeFaults } from "./ranges.ts";
import { statusFaults } from "./statuses.ts";
import { versionFaults } from "./versions.ts";

/** One way to misbehave. */
interface Fault {
  /** What the origin does, for people. */
  readonly about: string;
  readonly answer: (call: Call) => void;
}

/** Faults by name. */
export type FaultTable = Readonly<Record<string, Fault>>;

/** Every fault. */
export const ORIGINS = { ...rangeFaults, ...versionFaults, ...framingFaults, ...statusFaults } satisfies FaultTable;

/** The name of a fault. */
export type OriginName = keyof typeof ORIGINS;

/** The bytes that an origin serves unless it is given others: 100,000, no two stretches alike. */
export const ORIGIN_BYTES: Buffer = Buffer.from(
  Uint32Array.from({ length: 25_000 }, (_, index) => Math.imul(index + 1, 2_654_435_761)).buffer,
);

/** Starts the named origin. @param path - the path that its URL ends with */
export function startOrigin(
  name: OriginName,
  resource: Resource = resourceOf(ORIGIN_BYTES),
  path?: string,
): Promise<Origin> {
  return serve(resource, ORIGINS[name].answer, path);
}
