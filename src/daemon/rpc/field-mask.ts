/**
 * Read masks (AIP-157) over a session. Paths are those of the .proto file: `progress.downloaded_bytes`; `*` is
 * everything; a name of a message takes all of it.
 */
import {
  DownloadOptions,
  ErrorDetail,
  Metadata,
  Progress,
  Session,
  type Session as WireSession,
} from "../../gen/snatch/v1/session.ts";
import { badField } from "./convert.ts";

/** The messages inside a session whose fields can be named. */
const INNER: Readonly<Record<string, object>> = {
  progress: Progress.fromPartial({}),
  metadata: Metadata.fromPartial({}),
  options: DownloadOptions.fromPartial({}),
  error: ErrorDetail.fromPartial({}),
};
const SESSION: object = Session.fromPartial({});

const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** Cuts a session down to what a mask asks for. */
export type Masker = (session: WireSession) => WireSession;

/**
 * Reads a mask once, for many sessions.
 *
 * @param paths - undefined or empty: everything
 * @throws DownloadError INVALID_ARGUMENT naming the first unknown path
 */
export function toMasker(paths: readonly string[] | undefined): Masker {
  if (paths === undefined || paths.length === 0 || paths.includes("*")) return (session) => session;
  const whole = new Set<string>();
  const parts = new Map<string, Set<string>>();
  for (const path of paths) {
    const [outer = "", inner, ...more] = path.split(".").map(camel);
    const known = Object.hasOwn(SESSION, outer) && !/[A-Z]/.test(path) && more.length === 0;
    if (!known || (inner !== undefined && !Object.hasOwn(INNER[outer] ?? {}, inner)))
      throw badField("read_mask", `"${path.slice(0, 200)}" is not a field of a session`);
    if (inner === undefined) whole.add(outer);
    else parts.set(outer, (parts.get(outer) ?? new Set()).add(inner));
  }
  const blank = Session.fromPartial({});
  return (session) => {
    const kept = { ...blank };
    for (const name of whole) copy(session, kept, name);
    for (const [outer, names] of parts) {
      const value: unknown = Reflect.get(session, outer);
      if (whole.has(outer) || value === undefined) continue;
      const inner = { ...INNER[outer] };
      for (const name of names) copy(value as object, inner, name);
      Reflect.set(kept, outer, inner);
    }
    return kept;
  };
}

function copy(from: object, to: object, name: string): void {
  Reflect.set(to, name, Reflect.get(from, name));
}
