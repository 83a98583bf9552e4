/**
 * Loudness: ten minutes of stereo FLAC, against FFmpeg's own loudnorm in two passes. Once with a target that only needs a
 * gain, once with one that needs the limiter (and that loudnorm reaches in its dynamic mode only). And what memory it takes
 * for a file that is ten times as long.
 */
import { join } from "node:path";
import { music, writeWav } from "../../test/support/audio/signals.ts";
import { makeMedia } from "../../test/support/ffmpeg.ts";
import { median } from "../../test/support/median.ts";
import { requireTool } from "../../test/support/tools.ts";
import { measure, type Sample } from "../measure.ts";
import type { Place } from "../places.ts";
import { type Bound, megabytes, type Row } from "../row.ts";
import { settings } from "../settings.ts";
import { stop } from "../stop.ts";

/** Seconds of the file, and of the one that memory is compared with. */
const LONG_S = 600;
const SHORT_S = 60;
/** LUFS; the piece has some −19, with peaks at −3 dBTP. */
const TARGETS = { "gain only": -23, "with limiter": -14 } as const;

const HERE = join(import.meta.dirname, "..");

export const normalize: Row = {
  id: "11",
  title: "loudness of 10 minutes of stereo FLAC",
  places: ["disk"],
  async run(place) {
    const folder = await place.folder("normalize");
    const long = await piece(folder, LONG_S);
    const short = await piece(folder, SHORT_S);
    const bounds: Bound[] = [];
    const notes: string[] = [];
    for (const [what, target] of Object.entries(TARGETS)) {
      const [own, theirs, brief]: [Sample[], Sample[], Sample[]] = [[], [], []];
      for (let round = 1; round <= settings.rounds; round++) {
        stop.signal.throwIfAborted();
        const turns = [
          async () => own.push(await run(place, snatch(long, join(folder, `own-${target}-${round}.flac`), target))),
          async () => theirs.push(await run(place, loudnorm(long, join(folder, "theirs.flac"), target))),
        ];
        for (const turn of round % 2 === 0 ? turns : turns.toReversed()) await turn();
        brief.push(await run(place, snatch(short, join(folder, `brief-${target}-${round}.flac`), target)));
      }
      const wall = (samples: readonly Sample[]): number => median(samples.map((sample) => sample.wall));
      const memory = (samples: readonly Sample[]): number => median(samples.map((sample) => sample.memory));
      notes.push(`${what}: ${wall(own).toFixed(2)} s; loudnorm in two passes ${wall(theirs).toFixed(2)} s`);
      notes.push(
        `${what}: ${megabytes(memory(own)).toFixed(0)} MB; a tenth of it ${megabytes(memory(brief)).toFixed(0)} MB`,
      );
      bounds.push({ what: `wall ÷ loudnorm, ${what}`, value: wall(own) / wall(theirs), most: 1.2, unit: "×" });
      bounds.push({
        what: `memory ÷ that of 1 minute, ${what}`,
        value: memory(own) / memory(brief),
        most: 1.2,
        unit: "×",
      });
    }
    await place.drop(folder, { files: "few" });
    return { notes, bounds };
  },
};

async function piece(folder: string, seconds: number): Promise<string> {
  const wav = await writeWav(join(folder, `${seconds}.wav`), music(1, seconds, 44_100), "s16");
  return makeMedia("-i", wav, "-c:a", "flac", join(folder, `${seconds}.flac`));
}

function snatch(input: string, output: string, target: number): readonly string[] {
  return [process.execPath, join(HERE, "normalize-once.ts"), input, output, String(target)];
}

function loudnorm(input: string, output: string, target: number): readonly string[] {
  return [requireTool("bash"), join(HERE, "loudnorm-two-pass.sh"), input, output, String(target)];
}

function run(place: Place, command: readonly string[]): Promise<Sample> {
  return measure(command, { env: process.env, scratch: place.path });
}
