/**
 * Data that JSON gives back as it was. JSON.stringify makes null of NaN, text of a Date and nothing of a function, without a
 * word: what came out of the cache would not be what went in, so it is refused instead.
 */
import { failure } from "../core/errors.ts";

/** Levels of objects in objects. */
const DEEPEST = 100;

/**
 * The data as JSON. Properties that are undefined are left out.
 *
 * @throws DownloadError INVALID_ARGUMENT, with the place in the data
 */
export function toJson(data: unknown): string {
  check(data, "data", 0);
  return JSON.stringify(data);
}

function check(value: unknown, place: string, depth: number): void {
  if (value === null || typeof value === "string" || typeof value === "boolean") return;
  if (typeof value === "number") {
    if (!Number.isFinite(value)) refuse(place, `is ${value}`);
    return;
  }
  if (typeof value !== "object") refuse(place, value === undefined ? "is undefined" : `is a ${typeof value}`);
  if (depth >= DEEPEST) refuse(place, `lies more than ${DEEPEST} levels deep, or in a circle`);
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) check(item, `${place}[${index}]`, depth + 1);
    return;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) refuse(place, "is not a plain object");
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") refuse(place, "has a toJSON of its own");
  for (const [name, item] of Object.entries(value)) if (item !== undefined) check(item, `${place}.${name}`, depth + 1);
}

function refuse(place: string, why: string): never {
  throw failure("INVALID_ARGUMENT", `metadata must be JSON: ${place.slice(0, 100)} ${why}`);
}
