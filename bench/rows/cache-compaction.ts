/** A download beside the compaction of a full cache, and one beside nothing, in turns. */
import { join } from "node:path";
import { formatBytes } from "../../src/shared/format.ts";
import { makeFile } from "../../test/support/files.ts";
import { median } from "../../test/support/median.ts";
import { startNginx } from "../../test/support/nginx.ts";
import { Home } from "../../test/support/program.ts";
import { sameFile } from "../checks.ts";
import { fill, OpenVault } from "../filled-vault.ts";
import type { Place } from "../places.ts";
import type { Row } from "../row.ts";
import { settings } from "../settings.ts";
import { stop } from "../stop.ts";

export const cacheCompaction: Row = {
  id: "9",
  title: `one file of ${formatBytes(settings.largeBytes)} while a cache of ${settings.cacheEntries.toLocaleString("en")} entries is compacted`,
  places: ["disk", "tmpfs"],
  async run(place) {
    const www = await place.folder("compaction");
    const served = join(www, "large.bin");
    await makeFile(served, settings.largeBytes);
    await using nginx = await startNginx({ root: www, http: "access_log off;" });
    await using home = await filledHome(place);
    await home.start();
    const get = async (name: string): Promise<number> => {
      stop.signal.throwIfAborted();
      const target = join(home.downloads, name);
      const { code, ms, stderr } = await home.ctl(["get", `${nginx.http}/large.bin`, "-o", target, "--quiet"]);
      if (code !== 0) throw new Error(`get exited ${code}: ${stderr}`);
      await sameFile(served, target);
      await place.drop(target, { files: "few" });
      return ms;
    };
    const [alone, beside]: [number[], number[]] = [[], []];
    await get("warm-up");
    for (let round = 0; round < settings.rounds; round++) {
      alone.push(await get(`alone-${round}`));
      const compaction = home.startCtl(["cache", "compact"]);
      let ended = false;
      void compaction.finished.then(() => {
        ended = true;
      });
      beside.push(await get(`beside-${round}`));
      if (ended)
        throw new Error("the compaction ended before the download: more entries are needed (BENCH_CACHE_ENTRIES)");
      compaction.child.kill("SIGINT");
      await compaction.finished;
    }
    await place.drop(www, { files: "few" });
    const seconds = (times: readonly number[]): string => times.map((ms) => (ms / 1000).toFixed(2)).join(" ");
    return {
      notes: [`alone ${seconds(alone)} s`, `beside a compaction ${seconds(beside)} s`],
      bounds: [{ what: "wall ÷ alone", value: median(beside) / median(alone), most: 1.1, unit: "×" }],
    };
  },
};

/** A home whose cache is full when the daemon starts. */
async function filledHome(place: Place): Promise<Home> {
  const home = await Home.create({ parent: place.path });
  await using open = new OpenVault(join(home.path, "state"), join(home.path, "cache"));
  await open.store.start();
  await open.vault.start();
  await fill(settings.cacheEntries, (key, body) => open.vault.put("metadata", key, body));
  return home;
}
