/**
 * A list as a file: what makes it the same file as before, where its papers go, and how it is moved out of the way.
 */
import { createHash } from "node:crypto";
import { type BigIntStats, closeSync, constants, lstatSync, openSync, renameSync, rmSync } from "node:fs";
import { type FileHandle, lstat, mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { ListFiles } from "../core/ports/intake.ts";

/** Lists, by their names. A name that begins with a dot is somebody's temporary file. */
const LIST_NAME = /^(?<stem>[^.].*)(?<extension>\.(?:txt|urls|meta4|metalink)(?:\.gz)?)$/is;

/** Bytes of a stem with which every paper's name, `.report.jsonl` included, stays within the 255 of a file system. */
const LONGEST_STEM = 230;

/** Folders beside the lists. */
export const DONE = "done";
export const REJECTED = "rejected";

/** True for the name of a list. */
export function isListName(name: string): boolean {
  return LIST_NAME.test(name);
}

/** What changes when a file's content does, as far as the file system tells. */
export function signature(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}`;
}

/** The state of a path that may be absent. A symbolic link is not followed. */
export async function look(path: string): Promise<BigIntStats | undefined> {
  return lstat(path, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  });
}

/** Opens a list for reading. Neither follows a link nor waits for the other end of a FIFO. */
export function openList(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
}

/** The file's bytes from the first one on. The handle stays open. */
export function bytesOf(file: FileHandle): AsyncIterable<Uint8Array> {
  return file.createReadStream({ start: 0, autoClose: false });
}

/** What the ledger knows a list by: the file and its content. @throws the signal's reason */
export async function listKey(file: FileHandle, stats: BigIntStats, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of bytesOf(file)) {
    signal.throwIfAborted();
    hash.update(chunk);
  }
  return `${signature(stats)}:${hash.digest("hex")}`;
}

/** True if the key was made of a list with this signature. */
export function isKeyOf(key: string, listSignature: string): boolean {
  return key.startsWith(`${listSignature}:`);
}

/** True if the last byte is a line feed, or there is no telling because the list is compressed. */
export async function looksFinished(path: string, size: bigint): Promise<boolean> {
  if (/\.gz$/i.test(path)) return true;
  const file = await openList(path);
  try {
    const last = Buffer.alloc(1);
    await file.read(last, 0, 1, Number(size) - 1);
    return last[0] === 10;
  } finally {
    await file.close();
  }
}

/**
 * Names for a list's papers that nothing bears yet: NAME, or NAME-2, NAME-3 … where a name comes again.
 *
 * @param taken - tells of reports that are spoken for but not begun
 */
export async function choosePapers(
  folder: string,
  name: string,
  taken: (report: string) => boolean,
): Promise<ListFiles> {
  for (let number = 1; ; number++) {
    const numbered = numberedName(name, number);
    const stem = cutToBytes(LIST_NAME.exec(numbered)?.groups?.["stem"] ?? numbered, LONGEST_STEM);
    const files = {
      done: join(folder, DONE, numbered),
      report: join(folder, DONE, `${stem}.report.jsonl`),
      rejected: join(folder, REJECTED, `${stem}.txt`),
    };
    if (taken(files.report)) continue;
    const there = await Promise.all(Object.values(files).map((path) => look(path)));
    if (there.every((stats) => stats === undefined)) return files;
  }
}

/**
 * Moves a list to where it was to go, or beside it if something has taken that place meanwhile; nothing is overwritten.
 *
 * @returns where it is now
 */
export async function moveList(path: string, target: string): Promise<string> {
  await mkdir(dirname(target), { recursive: true });
  const name = target.slice(dirname(target).length + 1);
  for (let number = 1; ; number++) {
    const candidate = join(dirname(target), numberedName(name, number));
    if (!hold(candidate)) continue;
    try {
      renameSync(path, candidate);
      return candidate;
    } catch (error) {
      rmSync(candidate, { force: true });
      throw error;
    }
  }
}

/**
 * Holds a name with an empty file until a list takes its place. Both are done synchronously, so that it is only there for
 * an instant. An empty file that is there already was left by an end in that instant, since empty lists are never taken.
 *
 * @returns false if the name is somebody's
 */
function hold(path: string): boolean {
  try {
    closeSync(openSync(path, "wx"));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const there = lstatSync(path);
    return there.isFile() && there.size === 0;
  }
}

function numberedName(name: string, number: number): string {
  const { stem = name, extension = "" } = LIST_NAME.exec(name)?.groups ?? {};
  if (number === 1) return Buffer.byteLength(stem) <= LONGEST_STEM ? name : cutToBytes(stem, LONGEST_STEM) + extension;
  const suffix = `-${number}`;
  return cutToBytes(stem, LONGEST_STEM - suffix.length) + suffix + extension;
}

/** The beginning of a text, at most so many bytes of UTF-8, no character cut. */
function cutToBytes(text: string, bytes: number): string {
  let cut = text;
  while (Buffer.byteLength(cut) > bytes) cut = [...cut].slice(0, -1).join("");
  return cut;
}
