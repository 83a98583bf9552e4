/**
 * What a session with tracks has on disk besides its part file: the tracks, and what was made of them and of the file by
 * steps. All of it lies in one folder and begins with the part file's name, which holds the session's id.
 */
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { FileStore } from "../../core/ports.ts";
import type { Session } from "../../core/session.ts";

/** The name that all of it begins with, of the part file or of whatever was made of it. */
export function basePath(path: string, id: string): string {
  const mark = `.${id.slice(0, 8)}.part`;
  const at = path.lastIndexOf(mark);
  return at < 0 ? path : path.slice(0, at + mark.length);
}

/** Removes it all. Does nothing for a session without tracks and steps. */
export async function removeRemains(
  files: Pick<FileStore, "remove">,
  { id, part, options }: Pick<Session, "id" | "part" | "options">,
): Promise<void> {
  if (!part || (!part.tracks && !options.audio)) return;
  const base = basePath(part.path, id);
  if (!base.endsWith(`.${id.slice(0, 8)}.part`)) return;
  const [folder, name] = [dirname(base), basename(base)];
  // What FFmpeg was writing when it was killed is hidden.
  const ours = (each: string): boolean => each === name || each.startsWith(`${name}.`) || each.startsWith(`.${name}.`);
  for (const each of (await readdir(folder).catch(() => [])).filter(ours)) await files.remove(join(folder, each));
}
