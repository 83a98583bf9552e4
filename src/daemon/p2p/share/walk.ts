/**
 * Finds the files of a share: what a person names, and what lies below the folders among it. Symbolic links inside of folders
 * are never followed, they could lead anywhere; whatever is not shared is told with the reason. The order is stable, so that
 * the same files make the same share.
 */
import type { Dirent, Stats } from "node:fs";
import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { failure } from "../../core/errors.ts";
import type { MadeShare } from "../../core/peers.ts";
import type { ShareKind } from "../../core/session.ts";
import { CATALOGUE_LIMITS } from "./catalogue.ts";
import { NameSet } from "./catalogue-names.ts";

/** A file as it was when it was looked at: while these are the same, so are its bytes. */
export interface FileIdentity {
  readonly size: number;
  readonly mtimeMs: number;
  readonly ino: number;
}

/** A file to share. */
export interface WalkedFile extends FileIdentity {
  /** Absolute; no part of it was a symbolic link. */
  readonly path: string;
  /** Relative to the share, with forward slashes, composed (NFC). */
  readonly name: string;
  /** Permission bits. */
  readonly mode: number;
}

/** What was found. */
export interface Walked {
  readonly kind: ShareKind;
  /** Of the file or folder; absent if several were named. */
  readonly name?: string;
  /** At least one. */
  readonly files: readonly WalkedFile[];
  readonly leftOut: MadeShare["leftOut"];
}

/** Why it is not shared. */
const OWN = "it is the daemon's own: codes, keys and settings are in it";

/** What the daemon keeps for itself, and shares with nobody. */
export interface OwnPlaces {
  /** Files and folders; absolute. */
  readonly paths: readonly string[];
  /** Folders of people, perhaps inside of those; absolute. */
  readonly except: readonly string[];
}

/** What this program, and others, put beside a file while it comes. */
const UNFINISHED = /\.part$/;

/** Files that are looked at side by side. */
const AT_ONCE = 16;

/** Looks for the files of a share. `paths` are absolute. @throws DownloadError SHARE_INVALID; the signal's reason */
export async function walk(paths: readonly string[], own: OwnPlaces, signal: AbortSignal): Promise<Walked> {
  if (paths.length === 0) throw failure("SHARE_INVALID", "nothing was named that is to be shared");
  const walker = new Walker(await resolved(own), signal);
  let folders = 0;
  for (const path of paths) if (await walker.named(path, paths.length === 1)) folders++;
  if (walker.files.length === 0) throw nothing(paths, walker.leftOut);
  const kind = paths.length === 1 && folders === 0 ? "file" : "folder";
  const [only] = paths.length === 1 ? paths : [];
  return {
    kind,
    ...(only !== undefined && { name: basename(only).normalize("NFC") }),
    files: walker.files,
    leftOut: walker.leftOut,
  };
}

const NO_TEXT = "its name is no text in UTF-8";

/** Node replaces what is no UTF-8: by such a name the file, or folder, is not found. */
function isNoText(name: string): boolean {
  return name.includes("\ufffd");
}

class Walker {
  readonly files: WalkedFile[] = [];
  readonly leftOut: { readonly path: string; readonly why: string }[] = [];
  readonly #names = new NameSet();
  readonly #own: OwnPlaces;
  readonly #signal: AbortSignal;

  constructor(own: OwnPlaces, signal: AbortSignal) {
    this.#own = own;
    this.#signal = signal;
  }

  /** What a person names may be a symbolic link. @param alone - a folder's own name is not part of its files' names then */
  async named(path: string, alone: boolean): Promise<boolean> {
    const { real, stats } = await look(path);
    const name = basename(path);
    if (this.#isOwn(real)) this.#leave(real, OWN);
    else if (stats.isDirectory()) await this.#folder(real, alone ? "" : `${name}/`);
    else if (stats.isFile()) this.#take(real, name, stats);
    else throw failure("SHARE_INVALID", `${path} cannot be shared: it is ${kindOf(stats)}`);
    return stats.isDirectory();
  }

  async #folder(path: string, prefix: string): Promise<void> {
    this.#signal.throwIfAborted();
    const entries = await this.#read(path);
    if (!entries) return;
    if (entries.length === 0) this.#leave(path, "the folder is empty");
    // By bytes, whatever the order on the disk and the language of the machine.
    const sorted = entries
      .map((entry) => ({ entry, key: Buffer.from(entry.name) }))
      .toSorted((a, b) => Buffer.compare(a.key, b.key));
    for (let at = 0; at < sorted.length; at += AT_ONCE) {
      const lot = sorted.slice(at, at + AT_ONCE).map(({ entry }) => entry);
      const stats = await Promise.all(lot.map((entry) => this.#stat(join(path, entry.name), entry)));
      for (const [index, entry] of lot.entries()) {
        const whole = join(path, entry.name);
        if (this.#isOwn(whole)) this.#leave(whole, OWN);
        else if (isNoText(entry.name)) this.#leave(whole, NO_TEXT);
        else if (entry.isDirectory()) await this.#folder(whole, `${prefix}${entry.name}/`);
        else this.#entry(whole, `${prefix}${entry.name}`, entry, stats[index]);
      }
    }
  }

  #entry(path: string, name: string, entry: Dirent, stats: Stats | undefined): void {
    if (!entry.isFile()) this.#leave(path, `it is ${kindOf(entry)}`);
    else if (UNFINISHED.test(name)) this.#leave(path, "it is a file that is not finished");
    else if (!stats?.isFile()) this.#leave(path, "it went away meanwhile");
    else this.#take(path, name, stats);
  }

  #take(path: string, name: string, { size, mtimeMs, ino, mode }: Stats): void {
    const composed = name.normalize("NFC");
    const problem = isNoText(name) ? NO_TEXT : this.#names.add(composed);
    if (problem !== undefined) {
      this.#leave(path, problem === NO_TEXT ? NO_TEXT : `its name cannot be taken everywhere: ${problem}`);
      return;
    }
    if (this.files.length >= CATALOGUE_LIMITS.files)
      throw failure("SHARE_INVALID", `a share can have ${CATALOGUE_LIMITS.files} files, and there are more`);
    this.files.push({ path, name: composed, size, mtimeMs, ino, mode: mode & 0o777 });
  }

  async #read(path: string): Promise<readonly Dirent[] | undefined> {
    try {
      return await readdir(path, { withFileTypes: true });
    } catch (error) {
      this.#leave(path, `the folder cannot be read (${(error as NodeJS.ErrnoException).code})`);
      return undefined;
    }
  }

  async #stat(path: string, entry: Dirent): Promise<Stats | undefined> {
    return entry.isFile() ? lstat(path).catch(() => undefined) : undefined;
  }

  /** Links are not followed on the way: paths can be compared as they are. */
  #isOwn(path: string): boolean {
    const { paths, except } = this.#own;
    return paths.some(
      (own) => isWithin(path, own) && !except.some((other) => isWithin(other, own) && isWithin(path, other)),
    );
  }

  #leave(path: string, why: string): void {
    this.leftOut.push({ path, why });
  }
}

/** Without symbolic links; what is not there is left away. */
async function resolved({ paths, except }: OwnPlaces): Promise<OwnPlaces> {
  const real = async (all: readonly string[]): Promise<readonly string[]> =>
    (await Promise.all(all.map((path) => realpath(path).catch(() => [])))).flat();
  return { paths: await real(paths), except: await real(except) };
}

/** True if a path is a folder or lies in it. */
function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

async function look(path: string): Promise<{ readonly real: string; readonly stats: Stats }> {
  try {
    const real = await realpath(path);
    return { real, stats: await stat(real) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "it is not there" : `it cannot be looked at (${code})`;
    throw failure("SHARE_INVALID", `${path} cannot be shared: ${why}`, { cause: error, metadata: { path } });
  }
}

function kindOf(entry: Dirent | Stats): string {
  if (entry.isSymbolicLink()) return "a symbolic link";
  if (entry.isSocket()) return "a socket";
  if (entry.isFIFO()) return "a pipe";
  return entry.isBlockDevice() || entry.isCharacterDevice() ? "a device" : "no file";
}

function nothing(paths: readonly string[], leftOut: MadeShare["leftOut"]): Error {
  const [first] = leftOut;
  const what = paths.length === 1 ? paths[0] : "what was named";
  const left = first && `; ${first.path} was left out: ${first.why}${leftOut.length > 1 ? ", and more" : ""}`;
  return failure("SHARE_INVALID", `there is no file to share in ${what}${left ?? ""}`);
}
