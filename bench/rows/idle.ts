/**
 * What a daemon costs that has nothing to do: one that was just started, and one that has worked before. Both at the same
 * time, as neither should notice.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeFile } from "../../test/support/files.ts";
import { startNginx } from "../../test/support/nginx.ts";
import { cpuSeconds, residentBytes } from "../measure.ts";
import type { Place, Snatch } from "../places.ts";
import { type Bound, megabytes, type Row } from "../row.ts";
import { settings } from "../settings.ts";
import { stop } from "../stop.ts";

/** What the daemon that has worked has fetched: an eighth of the large file, and as many small ones. */
const FILE_BYTES = settings.largeBytes / 8;
const FILES = 200;

export const idle: Row = {
  id: "7",
  title: `idle for ${settings.idleSeconds} s`,
  places: ["disk"],
  async run(place) {
    await using fresh = await place.snatch();
    await using worked = await place.snatch();
    await work(place, worked);
    const bounds = await Promise.all([rest("just started", fresh), rest("after work", worked)]);
    return { bounds: bounds.flat() };
  },
};

async function work(place: Place, { home }: Snatch): Promise<void> {
  const www = await place.folder("idle");
  await mkdir(join(www, "small"));
  await makeFile(join(www, "large.bin"), FILE_BYTES);
  const names = Array.from({ length: FILES }, (_, index) => `small/${index}.bin`);
  for (const name of names) await makeFile(join(www, name), settings.smallBytes);
  await using nginx = await startNginx({ root: www, http: "access_log off;" });
  const input = ["large.bin", ...names].map((name) => `${nginx.http}/${name}\n`).join("");
  const { code, stderr } = await home.ctl(["get", "-i", "-", "--quiet"], { input });
  if (code !== 0) throw new Error(`get exited ${code}: ${stderr}`);
}

/** Waits, and looks how much it took. The size is the one at the end. */
async function rest(which: string, { daemon: { pid } }: Snatch): Promise<Bound[]> {
  // What it tidies up behind the start or the work is not yet idleness.
  await sleep(settings.quietSeconds * 1000, undefined, { signal: stop.signal });
  const [before, started] = [await cpuSeconds(pid), performance.now()];
  await sleep(settings.idleSeconds * 1000, undefined, { signal: stop.signal });
  const percent = ((await cpuSeconds(pid)) - before) / ((performance.now() - started) / 100_000);
  const size = megabytes(await residentBytes(pid));
  return [
    { what: `resident size, ${which}`, value: size, most: 90, unit: "MB" },
    { what: `CPU, ${which}`, value: percent, most: 0.1, unit: "%" },
  ];
}
