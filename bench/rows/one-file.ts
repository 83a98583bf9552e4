/** One large file from nginx: how long it takes, alone and with a checksum, and what a GiB costs. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { formatBytes } from "../../src/shared/format.ts";
import { makeFile } from "../../test/support/files.ts";
import { startNginx } from "../../test/support/nginx.ts";
import { sameFile } from "../checks.ts";
import { compete } from "../contest.ts";
import { bareDisk, contestants, type Extra, type Item } from "../contestants.ts";
import type { Place } from "../places.ts";
import type { Row } from "../row.ts";
import { settings } from "../settings.ts";
import type { Standings } from "../standings.ts";

/** What came of both contests. */
interface Races {
  readonly plain: Standings;
  /** With a digest that the file must have; aria2c reads the file again for it. curl and wget2 know none. */
  readonly checked: Standings;
}

const races = new WeakMap<Place, Promise<Races>>();

/** Runs the contests once in each place: two rows look at them. */
export function largeFileRaces(place: Place): Promise<Races> {
  const known = races.get(place) ?? race(place);
  races.set(place, known);
  return known;
}

async function race(place: Place): Promise<Races> {
  const www = await place.folder("large");
  const served = join(www, "large.bin");
  await mkdir(www, { recursive: true });
  const digest = `sha-256=${await makeFile(served, settings.largeBytes)}`;
  await using nginx = await startNginx({ root: www, http: "access_log off;" });
  await using snatch = await place.snatch();
  const item: Item = { url: `${nginx.http}/large.bin`, name: "large.bin" };
  const all = [...contestants(), ...(place.name === "disk" ? [bareDisk(served)] : [])];
  const contest = (title: string, extra: Extra, names?: readonly string[]): Promise<Standings> =>
    compete({
      title,
      place,
      snatch,
      programs: all.filter(({ name }) => names?.includes(name) ?? true),
      files: "few",
      work: {
        command: (program, folder) => program.one(item, folder, extra),
        check: (folder) => sameFile(served, join(folder, item.name)),
      },
    });
  const size = formatBytes(settings.largeBytes);
  const plain = await contest(`${size}, aria2c -x4 -s4`, { aria2c: ["-x4", "-s4"] });
  const checks = { snatch: ["--checksum", digest], aria2c: ["-x4", "-s4", `--checksum=${digest}`] };
  const checked = await contest(`${size} with --checksum, aria2c -x4 -s4`, checks, ["snatch", "aria2c"]);
  await place.drop(www, { files: "few" });
  return { plain, checked };
}

export const oneFile: Row = {
  id: "1",
  title: `one file of ${formatBytes(settings.largeBytes)}`,
  places: ["disk", "tmpfs"],
  async run(place) {
    const { plain, checked } = await largeFileRaces(place);
    const wall = (standings: Standings): number => standings.ratio("aria2c", (run) => run.wall);
    return {
      contests: [plain, checked],
      ...(place.name === "disk" && {
        notes: [
          `wall ÷ what the disk alone takes to write and sync as much: ${plain.ratio("disk", (run) => run.wall).toFixed(2)}`,
          "snatch and disk end when their bytes survive a power cut; curl, aria2c and wget2 sync nothing",
        ],
      }),
      bounds: [
        { what: "wall ÷ aria2c -x4, which hashes nothing", value: wall(plain), most: 1, unit: "×" },
        { what: "wall ÷ aria2c -x4, --checksum on both", value: wall(checked), most: 0.6, unit: "×" },
      ],
    };
  },
};
