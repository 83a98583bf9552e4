/** A very long list of very small files: time, and the memory of the daemon. */
import { join } from "node:path";
import { formatBytes } from "../../src/shared/format.ts";
import { makeFile } from "../../test/support/files.ts";
import { startNginx } from "../../test/support/nginx.ts";
import { filesOfSize } from "../checks.ts";
import { compete, type Work } from "../contest.ts";
import { contestants, type Item, PARALLEL } from "../contestants.ts";
import { AT_ONCE } from "../lists.ts";
import { megabytes, type Row } from "../row.ts";
import { settings } from "../settings.ts";

/** Files of the round that only warms. */
const WARM = 1000;

const TITLE = `${settings.tinyCount.toLocaleString("en")} URLs of ${formatBytes(settings.tinyBytes)} from a list`;

export const smallUrls: Row = {
  id: "4",
  title: TITLE,
  places: ["disk", "tmpfs"],
  async run(place) {
    const www = await place.folder("tiny");
    await makeFile(join(www, "tiny.bin"), settings.tinyBytes);
    // Every URL has the same bytes behind it: who serves them need not find its way through a folder of that size.
    const locations = { "/tiny/": "rewrite ^ /tiny.bin last;" };
    await using nginx = await startNginx({ root: www, http: "access_log off;", locations });
    await using snatch = await place.snatch(AT_ONCE);
    const fetching = (count: number): Work => {
      const items = Array.from({ length: count }, (_, index): Item => {
        const name = `${index}.bin`;
        return { url: `${nginx.http}/tiny/${name}`, name };
      });
      return {
        command: (program, folder) => program.many(items, folder, place.path),
        check: (folder) => filesOfSize(folder, count, settings.tinyBytes),
      };
    };
    const standings = await compete({
      title: `${TITLE}, ${PARALLEL} at once`,
      place,
      snatch,
      programs: contestants().filter(({ name }) => name === "snatch" || name === "aria2c"),
      files: "many",
      work: fetching(settings.tinyCount),
      warmUp: fetching(Math.min(settings.tinyCount, WARM)),
    });
    const daemon = standings.worst("snatch", (run) => run.daemonMemory ?? Number.NaN);
    const aria2c = standings.worst("aria2c", (run) => run.memory);
    return {
      contests: [standings],
      notes: [
        `largest size of the daemon alone ${megabytes(daemon).toFixed(0)} MB, of aria2c ${megabytes(aria2c).toFixed(0)} MB`,
      ],
      bounds: [
        { what: "wall ÷ aria2c -j16 -i", value: standings.ratio("aria2c", (run) => run.wall), most: 1, unit: "×" },
        { what: "daemon's peak resident size", value: megabytes(daemon), most: 300, unit: "MB" },
      ],
    };
  },
};
