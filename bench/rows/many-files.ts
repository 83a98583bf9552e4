/** Many small files from a list. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { formatBytes } from "../../src/shared/format.ts";
import { makeFile } from "../../test/support/files.ts";
import { startNginx } from "../../test/support/nginx.ts";
import { sameFolder } from "../checks.ts";
import { compete } from "../contest.ts";
import { contestants, type Item, PARALLEL } from "../contestants.ts";
import { AT_ONCE } from "../lists.ts";
import type { Row } from "../row.ts";
import { settings } from "../settings.ts";

const TITLE = `${settings.smallCount.toLocaleString("en")} files of ${formatBytes(settings.smallBytes)} from a list`;

export const manyFiles: Row = {
  id: "3",
  title: TITLE,
  places: ["disk", "tmpfs"],
  async run(place) {
    const www = await place.folder("small");
    const served = join(www, "files");
    await mkdir(served);
    const names = Array.from({ length: settings.smallCount }, (_, index) => `${index}.bin`);
    for (const name of names) await makeFile(join(served, name), settings.smallBytes);
    await using nginx = await startNginx({ root: www, http: "access_log off;" });
    await using snatch = await place.snatch(AT_ONCE);
    const items = names.map((name): Item => ({ url: `${nginx.http}/files/${name}`, name }));
    const standings = await compete({
      title: `${TITLE}, ${PARALLEL} at once`,
      place,
      snatch,
      programs: contestants(),
      files: "many",
      work: {
        command: (program, folder) => program.many(items, folder, place.path),
        check: (folder) => sameFolder(served, folder),
      },
    });
    await place.drop(www, { files: "many" });
    const value = standings.ratio("aria2c", (run) => run.wall);
    return {
      contests: [standings],
      bounds: [{ what: "wall ÷ aria2c -j16 -i", value, most: 1, unit: "×" }],
    };
  },
};
