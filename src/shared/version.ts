/** The version of Snatch, from package.json: the one place where it is written. */
import { readFileSync } from "node:fs";

/** Three levels up from src/shared/, two from dist/client/ and dist/daemon/, one from dist/. */
const CANDIDATES = ["../package.json", "../../package.json", "../../../package.json"];

/** Such as "0.1.0". */
export const VERSION: string = readVersion();

function readVersion(): string {
  for (const candidate of CANDIDATES) {
    try {
      const found = JSON.parse(readFileSync(new URL(candidate, import.meta.url), "utf8")) as Record<string, unknown>;
      if (found["name"] === "snatch") return String(found["version"]);
    } catch {
      // Not at this level: try the next one.
    }
  }
  throw new Error("package.json of snatch was not found");
}
