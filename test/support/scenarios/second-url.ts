/**
 * The same bytes asked for under a second URL, with a digest that is known: the real daemon fills the file from the one that
 * it has, and the second origin, which counts, is asked for nothing.
 */
import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { resourceOf, serve } from "../origins/origin.ts";
import { Home } from "../program.ts";
import { Findings, type Outcome } from "./outcome.ts";

/** Of the default configuration. */
const CHUNK = 8 * 1024 * 1024;

/** How large the files are that are fetched and asked for again, in bytes. */
export interface SecondUrlOptions {
  readonly sizes: readonly number[];
}

/** Fetches each file from one origin, and asks for it at another. */
export async function secondUrl({ sizes }: SecondUrlOptions): Promise<Outcome> {
  const findings = new Findings();
  await using home = await Home.create();
  await home.start();
  let [bytesAgain, requests] = [0, 0];
  for (const [index, size] of sizes.entries()) {
    const bytes = randomBytes(size);
    await using first = await serve(resourceOf(bytes), (call) => call.answer(), `/first-${index}.bin`);
    await using second = await serve(resourceOf(bytes, "other"), (call) => call.answer(), `/second-${index}.bin`);
    const checksum = ["--checksum", `sha-256=${createHash("sha256").update(bytes).digest("hex")}`];
    // The digest of a file of one chunk is known without having been asked for.
    const got = await home.ctl(["get", first.url, ...(size > CHUNK ? checksum : [])]);
    findings.expect(got.code === 0, `get of ${size} bytes exited ${got.code}: ${got.stderr}`);
    const again = await home.ctl(["get", second.url, ...checksum]);
    findings.expect(again.code === 0, `the second get of ${size} bytes exited ${again.code}: ${again.stderr}`);
    const copy = await readFile(join(home.downloads, `second-${index}.bin`)).catch(() => undefined);
    findings.expect(copy?.equals(bytes) === true, `the second file of ${size} bytes is not the same`);
    findings.expect(
      second.requests.length === 0,
      `${size} bytes: ${second.requests.length} requests to the second origin`,
    );
    requests += second.requests.length;
    bytesAgain += copy?.length ?? 0;
  }
  findings.note("files asked for under a second URL", sizes.length);
  findings.note("bytes that were not fetched again", bytesAgain);
  findings.note("requests to the second origin", requests);
  return findings.outcome();
}
