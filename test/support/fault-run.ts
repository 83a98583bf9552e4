/**
 * One download from one misbehaving origin through the whole engine, as the catalogue wants it driven: what came of it,
 * on disk, in the session and on the wire.
 */
import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Session } from "../../src/daemon/core/session.ts";
import type { DownloadManager } from "../../src/daemon/library.ts";
import type { ErrorCode } from "../../src/shared/errors.ts";
import { type LibraryHome, libraryHome } from "./library.ts";
import { startFault } from "./origins/catalogue.ts";
import type { Fault } from "./origins/fault.ts";
import type { Origin } from "./origins/origin.ts";
import { waitFor } from "./wait.ts";

/** Bytes of a chunk in these runs. */
const CHUNK = 64 * 1024;

/** What comes drop by drop has come for longer than the timeout when it is more than this. */
const GOES_ON = 40;

/** What came of it. */
export interface FaultRun {
  readonly status: Session["status"];
  readonly code?: ErrorCode;
  readonly message?: string;
  /** The file under the final name: one whole version that the origin had, something else, or nothing. */
  readonly file: "right" | "wrong" | "none";
  /** Which version, counted from 1. */
  readonly version?: number;
  /** Its name. */
  readonly name?: string;
  /** Bytes that stay beside the target, as a part file or in quarantine. */
  readonly partBytes: number;
  /** Bytes of the chunks that are recorded for the next attempt. */
  readonly proved: number;
  /** Nobody vouches for its length. */
  readonly unverified: boolean;
  /** Seconds that the session is told to wait. */
  readonly waitS?: number;
  readonly origin: Origin;
}

/** Runs the fault's origin and a download from it. Its requests can be looked at in {@link FaultRun.origin}. */
export async function runFault(fault: Fault): Promise<FaultRun> {
  await using origin = await startFault(fault);
  await using home = await libraryHome();
  const config = {
    chunk_size: CHUNK,
    timeout: 0.4,
    max_retries: 1,
    connections_per_download: fault.connections ?? 2,
  };
  let manager = home.manager(config);
  const urls = fault.mirror ? [[origin.url, origin.elsewhere + new URL(origin.url).pathname]] : [origin.url];
  const [session] = await manager.enqueue(urls, { ...fault.options });
  const id = session?.id ?? "";
  if (fault.resumed) {
    await waitFor("the first run has won something", () => wonSomething(manager, id));
    await manager[Symbol.asyncDispose]();
    origin.state.run = 2;
    manager = home.manager(config);
    await manager.start();
  }
  const ended = await waitFor("an end", () => endOf(manager, id, fault.outcome.status), 30_000);
  const found = await look(home, ended, origin);
  const chunks = await manager.sessions.chunks(id, ended.part?.epoch ?? 0);
  await manager[Symbol.asyncDispose]();
  return { ...found, proved: chunks.size * CHUNK, origin };
}

async function wonSomething(manager: DownloadManager, id: string): Promise<boolean> {
  return ((await manager.sessions.get(id))?.progress.downloadedBytes ?? 0) >= CHUNK;
}

/** The session when it has come to an end, or to what is expected of it instead of one. */
async function endOf(manager: DownloadManager, id: string, expected: Session["status"]): Promise<Session | undefined> {
  const now = await manager.sessions.get(id);
  if (!now) return undefined;
  if (["completed", "failed"].includes(now.status)) return now;
  if (expected === "active") return (manager.live(id)?.pendingBytes ?? 0) > GOES_ON ? now : undefined;
  return now.status === expected ? now : undefined;
}

async function look(home: LibraryHome, session: Session, origin: Origin): Promise<Omit<FaultRun, "origin" | "proved">> {
  const { status, error, target, nextAttemptAt, resource } = session;
  const quarantined = basename(error?.metadata?.["kept"] ?? "");
  const names = await readdir(dirname(target ?? join(home.downloads, "x"))).catch(() => []);
  const isKept = (name: string): boolean => name.endsWith(".part") || name === quarantined;
  const parts = await Promise.all(names.filter(isKept).map((name) => readFile(join(home.downloads, name))));
  const others = names.filter((name) => !isKept(name));
  const bytes = others[0] === undefined ? undefined : await readFile(join(home.downloads, others[0]));
  const version = bytes && origin.versions.findIndex((each) => each.bytes.equals(bytes)) + 1;
  return {
    status,
    ...(error && status !== "completed" && { code: error.code, message: error.message }),
    file: others.length > 1 || version === 0 ? "wrong" : bytes ? "right" : "none",
    ...(version && { version }),
    ...(others[0] !== undefined && { name: basename(others[0]) }),
    partBytes: parts.reduce((sum, each) => sum + each.length, 0),
    unverified: resource?.lengthUnverified === true,
    ...(status === "waiting" && nextAttemptAt !== undefined && { waitS: (nextAttemptAt - Date.now()) / 1000 }),
  };
}
