/** Where a file goes: its final path, the part files beside it, and whether there is room. */
import { realpath } from "node:fs/promises";
import { basename, dirname, join, parse } from "node:path";
import { failure } from "../core/errors.ts";
import type { Plan } from "../core/plan.ts";
import type { Claim, FileStore } from "../core/ports/files.ts";
import type { IfExists, ResourceInfo } from "../core/session.ts";
import { mayStay, safeName } from "../disk/filename.ts";
import type { Run } from "./run.ts";

/** Bytes below which a file's need for room is looked at by an answer that may be so many milliseconds old. */
const SMALL_FILE = 1024 * 1024;
const SPACE_AGE_MS = 100;

/** Claims the final path. @throws FileSystemError TARGET_EXISTS, TARGET_BUSY … */
export async function claimTarget(
  run: Run,
  resource: ResourceInfo,
  { filename, nested, exact = false }: Plan,
): Promise<Claim> {
  const { session, engine, settings } = run;
  const policy = session.options.ifExists ?? settings.ifExists;
  // Planned by an earlier attempt: the name stays, unless it has become another's since.
  const former = session.target === undefined ? undefined : await engine.files.reclaim(session.target, policy);
  if (former) return former;
  if (session.options.output !== undefined) {
    await engine.files.ensureDirectory(dirname(session.options.output));
    return engine.files.claimPath(session.options.output, policy);
  }
  const directory = session.options.directory ?? settings.downloadDir;
  await engine.files.ensureDirectory(directory);
  if (nested && filename !== undefined) return claimBelow(run, directory, { path: filename, exact }, policy);
  return engine.files.claim(directory, filename ?? resource.filename ?? nameFromUrl(resource.finalUrl), policy);
}

/** The name with its folders, each of them made safe and made below `directory`, wherever links in there lead. */
async function claimBelow(
  run: Run,
  directory: string,
  { path, exact }: { readonly path: string; readonly exact: boolean },
  policy: IfExists,
): Promise<Claim> {
  const { files } = run.engine;
  const segments = path.split("/").filter((segment) => segment !== "" && segment !== "." && segment !== "..");
  const names = segments.map((segment, depth) =>
    exact && depth > 0 && mayStay(segment) ? segment : safeName(segment),
  );
  const name = names.pop() ?? safeName("");
  const folder = await folderBelow(run, directory, names);
  return files.claimPath(join(folder, name), policy);
}

/** Folders that were made, or looked at, a moment ago: a folder of many files asks for the same ones again and again. */
const LOOKED_AT = new WeakMap<FileStore, Map<string, { readonly at: number; readonly folder: Promise<string> }>>();
const LOOK_MS = 1000;
const MOST_LOOKED_AT = 1000;

function folderBelow({ engine }: Run, directory: string, names: readonly string[]): Promise<string> {
  const { files, clock } = engine;
  const known = LOOKED_AT.get(files) ?? new Map<string, { readonly at: number; readonly folder: Promise<string> }>();
  LOOKED_AT.set(files, known);
  const key = [directory, ...names].join("\0");
  const now = clock.monotonic();
  const found = known.get(key);
  if (found && now - found.at < LOOK_MS) return found.folder;
  if (known.size >= MOST_LOOKED_AT) known.clear();
  const folder = makeBelow(files, directory, names);
  known.set(key, { at: now, folder });
  folder.catch(() => known.delete(key));
  return folder;
}

/** @throws FileSystemError TARGET_NOT_ALLOWED if a link leads out of the directory */
async function makeBelow(files: FileStore, directory: string, names: readonly string[]): Promise<string> {
  const root = await realpath(directory);
  let folder = directory;
  for (const each of names) {
    folder = join(folder, each);
    // A folder at a time: what leads elsewhere is seen before anything is made in there.
    const there = await realpath(folder).catch(() => undefined);
    if (there !== undefined && !`${there}/`.startsWith(root === "/" ? "/" : `${root}/`))
      throw failure("TARGET_NOT_ALLOWED", `${folder} leads out of ${directory}, to ${there}`, {
        metadata: { path: folder },
      });
    await files.ensureDirectory(folder);
  }
  return folder;
}

/** The same target under another ending, where what was made is not what was expected. A name that was given stays. */
export async function reclaimWithEnding(run: Run, claim: Claim, ext: string): Promise<Claim> {
  const { session, engine, settings } = run;
  if (session.options.output !== undefined) return claim;
  const name = `${parse(claim.path).name}.${ext}`;
  if (name === basename(claim.path)) return claim;
  const policy = session.options.ifExists ?? settings.ifExists;
  const other = await engine.files.claim(dirname(claim.path), name, policy);
  claim[Symbol.dispose]();
  return other;
}

/** The last segment of the path, decoded; the store makes it safe. */
export function nameFromUrl(url: string): string {
  const segment = new URL(url).pathname.split("/").findLast((part) => part !== "") ?? "";
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** Where a stream goes while an older part file is kept; and back: of the two names that a part file can have, the other one. */
export function asidePath(part: string): string {
  return part.endsWith(".whole.part")
    ? part.replace(/\.whole\.part$/, ".part")
    : part.replace(/\.part$/, ".whole.part");
}

/** Beside the target, so that the rename is one of the same file system; its own by the session's id. */
export function partPath(target: string, id: string): string {
  const suffix = `.${id.slice(0, 8)}.part`;
  let name = basename(target);
  // With room for what asidePath puts in, and for what steps put behind it: ".12.opus", and hidden while it is written.
  while (Buffer.byteLength(name) + suffix.length + 24 > 255) name = [...name].slice(0, -1).join("");
  return join(dirname(target), name + suffix);
}

/** @throws SystemResourceError DISK_FULL if less than `size` and what is to stay free is left */
export async function requireSpace(run: Run, directory: string, size: number): Promise<void> {
  // Many small files need not ask each; what is large or of unknown length does.
  const small = size > 0 && size < SMALL_FILE;
  const free = await run.engine.files.freeSpace(directory, small ? SPACE_AGE_MS : 0);
  if (free >= size + run.settings.minFreeSpace) return;
  throw failure(
    "DISK_FULL",
    `${directory} has ${free} bytes free; the file needs ${size} more, and ${run.settings.minFreeSpace} are to stay free`,
    { metadata: { directory, free: String(free), needed: String(size) } },
  );
}
