/**
 * What a session with tracks has on disk besides its part file: the tracks, and what was made of them and of the file by
 * steps. All of it lies in one folder and begins with the part file's name, which holds the session's id.
 */
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { FileStore } from "../../core/ports/files.ts";
import type { Session } from "../../core/session.ts";

/** The name that all of it begins with, of the part file or of whatever was made of it. */
export function basePath(path: string, id: string): string {
  const mark = `.${id.slice(0, 8)}.part`;
  const at = path.lastIndexOf(mark);
  return at < 0 ? path : path.slice(0, at + mark.length);
}

/** Removes it all. Does nothing for a session without tracks, and of whose file steps made nothing. */
export async function removeRemains(
  files: Pick<FileStore, "remove">,
  session: Pick<Session, "id" | "part" | "options" | "sourceManifest">,
): Promise<void> {
  const { part, options, sourceManifest } = session;
  if (part?.tracks || options.audio || sourceManifest) await removeAll(files, session);
}

/** Removes whatever bears the session's name, for one that is called off: the configuration may have wanted steps meanwhile. */
export async function removeAll(
  files: Pick<FileStore, "remove">,
  { id, part }: Pick<Session, "id" | "part">,
): Promise<void> {
  if (!part) return;
  const base = basePath(part.path, id);
  if (!base.endsWith(`.${id.slice(0, 8)}.part`)) return;
  const [folder, name] = [dirname(base), basename(base)];
  // What FFmpeg was writing when it was killed is hidden.
  const ours = (each: string): boolean => each === name || each.startsWith(`${name}.`) || each.startsWith(`.${name}.`);
  for (const each of (await readdir(folder).catch(() => [])).filter(ours)) await files.remove(join(folder, each));
}
