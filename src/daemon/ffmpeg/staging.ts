/**
 * Where an output grows until it is whole: a hidden file beside its target, made by us so that nobody can have put a link
 * there, synced, and only then given its name.
 */
import { randomBytes } from "node:crypto";
import { link, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { asDownloadError, failure } from "../core/errors.ts";

/** Bytes of the target's name that the hidden name repeats; the rest of 255 is its own. */
const REPEATED = 180;

/** A file that has no name of its own yet. Disposed of without {@link Staged.keep} it is gone. */
export interface Staged extends AsyncDisposable {
  readonly path: string;
  /** Syncs it and gives it its name. @throws FileSystemError TARGET_EXISTS if something is there and must not be replaced */
  keep(): Promise<void>;
}

/**
 * Makes the hidden file.
 * @throws FileSystemError TARGET_EXISTS at once if something is at the target and must not be replaced; what files throw
 */
export async function stage(target: string, replace: boolean): Promise<Staged> {
  try {
    if (!replace && (await present(target))) throw taken(target);
    const path = join(dirname(target), hiddenName(basename(target)));
    await (await open(path, "wx", 0o666)).close();
    return {
      path,
      async keep() {
        try {
          await sync(path, "r+");
          await give(path, target, replace);
          await sync(dirname(target), "r");
        } catch (error) {
          throw asDownloadError(error);
        }
      },
      [Symbol.asyncDispose]: () => rm(path, { force: true }),
    };
  } catch (error) {
    throw asDownloadError(error);
  }
}

/** A link never replaces what is there. File systems without links are asked first; nothing better can be had there. */
async function give(path: string, target: string, replace: boolean): Promise<void> {
  if (replace) return rename(path, target);
  try {
    await link(path, target);
    await rm(path);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" || (await present(target))) throw taken(target);
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EINVAL"].includes(code)) throw error;
    await rename(path, target);
  }
}

async function sync(path: string, flags: string): Promise<void> {
  const file = await open(path, flags);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function present(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

function taken(target: string) {
  return failure("TARGET_EXISTS", `${target} is there already; it was not replaced`, { metadata: { path: target } });
}

function hiddenName(name: string): string {
  const bytes = Buffer.from(name).subarray(0, REPEATED);
  return `.${bytes.toString("utf8").replaceAll("�", "")}.${randomBytes(6).toString("hex")}.making`;
}
