/** What a GiB costs in processor time, from the same runs as the row of one large file. */
import type { ProgramName } from "../contestants.ts";
import type { Row } from "../row.ts";
import { settings } from "../settings.ts";
import { largeFileRaces } from "./one-file.ts";

export const cpuPerGib: Row = {
  id: "6",
  title: "processor time for a GiB, from the runs of row 1",
  places: ["disk", "tmpfs"],
  async run(place) {
    const { plain } = await largeFileRaces(place);
    const gib = settings.largeBytes / 1024 ** 3;
    const seconds = (name: ProgramName): string => (plain.median(name, (run) => run.cpu) / gib).toFixed(3);
    return {
      notes: (["snatch", "curl", "aria2c", "wget2"] as const).map((name) => `${name}: ${seconds(name)} s a GiB`),
      bounds: [{ what: "CPU ÷ curl", value: plain.ratio("curl", (run) => run.cpu), most: 2, unit: "×" }],
    };
  },
};
