/**
 * The catalogue of misbehaving origins, by name. Start one with {@link startOrigin}; each is a fresh server on loopback, on
 * a port of its own, that remembers what it was asked.
 */
import { digestFaults } from "./digests.ts";
import { elsewhereFaults } from "./elsewhere.ts";
import type { Fault, FaultTable } from "./fault.ts";
import { framingFaults } from "./framing.ts";
import { midwayFaults } from "./midway.ts";
import { type Origin, type Resource, resourceOf, serve } from "./origin.ts";
import { rangeFaults } from "./ranges.ts";
import { runFaults } from "./runs.ts";
import { statusFaults } from "./statuses.ts";
import { versionFaults } from "./versions.ts";

/** Faults of single answers. */
export const ORIGINS = { ...rangeFaults, ...versionFaults, ...framingFaults, ...statusFaults } satisfies FaultTable;

/** The name of a fault of single answers. */
export type OriginName = keyof typeof ORIGINS;

/** The whole catalogue, in the groups of docs/FAULTS.md. */
export const GROUPS: Readonly<Record<string, FaultTable>> = {
  Ranges: rangeFaults,
  Versions: versionFaults,
  "After the daemon's end": runFaults,
  "In the middle": midwayFaults,
  "Lengths, codings and connections": framingFaults,
  Digests: digestFaults,
  "Statuses, redirects and names": statusFaults,
  "Other origins, mirrors and patience": elsewhereFaults,
};

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

/** The bytes of the downloads of {@link startFault}: several chunks, no two stretches alike. */
const FAULT_BYTES: Buffer = Buffer.concat([
  ORIGIN_BYTES,
  ORIGIN_BYTES.map((byte) => byte ^ 1),
  ORIGIN_BYTES.map((byte) => byte ^ 2),
]);

/** Starts the origin of a fault, with a file that has several chunks. */
export function startFault(fault: Fault): Promise<Origin> {
  return serve(resourceOf(fault.bytes ?? FAULT_BYTES), fault.answer);
}
