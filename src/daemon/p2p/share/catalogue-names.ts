/**
 * Names in a catalogue: relative paths with forward slashes. They come from whoever knows the code, so that each has to show
 * that it stays inside of the folder on whatever system it is taken to, and that no two of them mean the same file there.
 */

/** Bytes of a whole name in UTF-8: with a folder in front of it, it still is a path (PATH_MAX is 4096 on Linux). */
const MAX_NAME_BYTES = 2048;

/** Bytes of one segment that file systems take (NAME_MAX). */
const MAX_SEGMENT_BYTES = 255;

/** Folders in folders. */
const MAX_DEPTH = 64;

/** Controls (a NUL among them), and what ends a line or paragraph: nothing of it belongs into a name. */
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/u;

/** Folders of all names together: twice as many as there can be files. Each is kept in memory. */
const MAX_FOLDERS = 200_000;

/**
 * Embeddings, overrides and isolates turn text around: "exe.\u202Egpj" is shown as a picture (Unicode TR36 §3.3). Marks, which
 * names in Arabic and Hebrew do have, turn nothing.
 */
const TURNING = /[\u202A-\u202E\u2066-\u2069]/;

/** "C:\", "C:name": on Windows it names a drive. */
const DRIVE = /^[a-z]:/i;

/** @returns what is wrong with a name by itself, for people; undefined if nothing is */
export function nameProblem(name: string): string | undefined {
  if (name === "") return "it is empty";
  if (!name.isWellFormed()) return "it is no text";
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) return `it is longer than ${MAX_NAME_BYTES} bytes`;
  if (CONTROL.test(name)) return "it holds control characters";
  if (TURNING.test(name)) return "it holds characters that turn the direction of text around";
  if (name.includes("\\")) return "it holds a backslash, which separates folders on Windows";
  if (name.startsWith("/")) return "it is absolute";
  if (DRIVE.test(name)) return "it begins with the letter of a drive";
  const segments = name.split("/");
  if (segments.length > MAX_DEPTH) return `it is in more than ${MAX_DEPTH - 1} folders`;
  for (const segment of segments) {
    if (segment === "") return "a folder in it has no name";
    if (segment === "." || segment === "..") return `it leads elsewhere by "${segment}"`;
    if (Buffer.byteLength(segment) > MAX_SEGMENT_BYTES) return `a part of it is longer than ${MAX_SEGMENT_BYTES} bytes`;
  }
  return undefined;
}

/**
 * The names of one catalogue. Names are the same if they differ only in what some file systems do not tell apart: composition
 * (NFC, Unicode TR15), and case.
 */
export class NameSet {
  readonly #files = new Set<string>();
  readonly #folders = new Set<string>();

  /** Takes a name in. @returns what is wrong with it, for people; undefined if it was taken in */
  add(name: string): string | undefined {
    const problem = nameProblem(name);
    if (problem !== undefined) return problem;
    const folded = fold(name);
    if (this.#files.has(folded)) return "another has the same name but for case, or in the way it is spelled";
    if (this.#folders.has(folded)) return "it is the name of a folder as well";
    const folders: string[] = [];
    // The innermost first: what a known folder lies in is known too.
    for (let end = folded.lastIndexOf("/"); end > 0; end = folded.lastIndexOf("/", end - 1)) {
      const folder = folded.slice(0, end);
      if (this.#folders.has(folder)) break;
      if (this.#files.has(folder)) return "a folder in it is the name of a file as well";
      folders.push(folder);
    }
    if (this.#folders.size + folders.length > MAX_FOLDERS) return `there are more than ${MAX_FOLDERS} folders`;
    this.#files.add(folded);
    for (const folder of folders) this.#folders.add(folder);
    return undefined;
  }
}

/** The upper case first: it takes apart what is written as one, such as ß and ligatures. */
function fold(name: string): string {
  return name.normalize("NFD").toUpperCase().toLowerCase().normalize("NFC");
}
