/** Which files `snatchctl audio` is about: those that were named, and with -r all audio below folders. */
import { readdirSync, statSync } from "node:fs";
import { extname, join, resolve } from "node:path";
import { misuse } from "./failure.ts";

const AUDIO = new Set(
  ".flac .wav .aif .aiff .mp3 .m4a .m4b .aac .alac .opus .ogg .oga .mka .wv .ape .tta .wma .ac3 .dts .w64 .caf".split(
    " ",
  ),
);
/** Results of earlier calls. */
const RESULT = /\.(normalized|denoised|upmixed|7\.1|enhanced|filtered|processed|replaygain)\.\w{2,4}$/i;

/**
 * Absolute paths, each once.
 *
 * @param options.only - endings that count below folders; default: those of audio
 * @throws ClientError for a folder without -r
 */
export function audioFiles(
  names: readonly string[],
  { recursive, local, only }: { readonly recursive: boolean; readonly local: boolean; readonly only?: string },
): string[] {
  if (!local) {
    if (recursive)
      throw misuse("-r needs a daemon on this machine", "Name the files; their paths are those of its machine.");
    return [...new Set(names)];
  }
  const found = names.flatMap((name) => {
    const path = resolve(name);
    // What is not there is told by the daemon, like everything else that is wrong with a file.
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [path];
    if (!recursive) throw misuse(`${name} is a folder`, "With -r all audio below it is taken.");
    return below(path, only);
  });
  return [...new Set(found)];
}

/** Hidden files and what links lead to are left out: neither is meant when a folder is named. */
function below(folder: string, only: string | undefined): string[] {
  const files: string[] = [];
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith(".")) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) files.push(...below(path, only));
    else if (entry.isFile() && counts(entry.name, only)) files.push(path);
  }
  return files;
}

function counts(name: string, only: string | undefined): boolean {
  const ending = extname(name).toLowerCase();
  return only === undefined ? AUDIO.has(ending) && !RESULT.test(name) : ending === only;
}
