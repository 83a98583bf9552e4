/** Where the code of this room's thread is: beside this file as source, and below the program when it is built. */
import { existsSync } from "node:fs";
import { failure } from "../core/errors.ts";

/** @param name - such as "rnnoise-worker". @throws DownloadError INTERNAL if it is missing */
export function workerUrl(name: string): URL {
  const places = [`./${name}.ts`, `./${name}.js`, `./daemon/${name}.js`];
  const found = places.map((place) => new URL(place, import.meta.url)).find((url) => existsSync(url));
  if (!found) throw failure("INTERNAL", `the program is not whole: ${name}.js is missing`);
  return found;
}
