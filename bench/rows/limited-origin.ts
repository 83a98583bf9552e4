/** An origin that gives 2 MB/s to a connection: does the engine find out by itself that more of them help? */
import { join } from "node:path";
import { formatBytes } from "../../src/shared/format.ts";
import { makeFile } from "../../test/support/files.ts";
import { sameFile } from "../checks.ts";
import { compete, type Work } from "../contest.ts";
import { contestants, type Extra } from "../contestants.ts";
import { startDrip } from "../drip-origin.ts";
import type { Row } from "../row.ts";
import { settings } from "../settings.ts";

/** Bytes a second and connection. */
const RATE = 2_000_000;
/** Snatch gets no flags. curl has one connection for a file, and wget2 too: what they need is known without a run. */
const EXTRA: Extra = { aria2c: ["-x16", "-s16", "-k1M"] };

export const limitedOrigin: Row = {
  id: "2",
  title: `${formatBytes(settings.limitedBytes)} from an origin limited to 2 MB/s a connection`,
  places: ["disk", "tmpfs"],
  async run(place) {
    const www = await place.folder("limited");
    await makeFile(join(www, "limited.bin"), settings.limitedBytes);
    await makeFile(join(www, "little.bin"), 256 * 1024);
    await using origin = await startDrip(www, RATE);
    await using snatch = await place.snatch();
    const fetching = (name: string): Work => ({
      command: (program, folder) => program.one({ url: `${origin.base}/${name}`, name }, folder, EXTRA),
      check: (folder) => sameFile(join(www, name), join(folder, name)),
    });
    const standings = await compete({
      title: `${formatBytes(settings.limitedBytes)}, 2 MB/s a connection; snatch without flags, aria2c -x16 -s16 -k1M`,
      place,
      snatch,
      programs: contestants().filter(({ name }) => name === "snatch" || name === "aria2c"),
      files: "few",
      work: fetching("limited.bin"),
      warmUp: fetching("little.bin"),
    });
    await place.drop(www, { files: "few" });
    const value = standings.ratio("aria2c", (run) => run.wall);
    return {
      contests: [standings],
      bounds: [{ what: "wall ÷ aria2c -x16 -s16 -k1M", value, most: 1.1, unit: "×" }],
    };
  },
};
