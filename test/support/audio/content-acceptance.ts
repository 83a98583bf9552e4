/**
 * Speech, music and film told apart, on recordings of which none was there when the limits were set. Speech and music are
 * recordings as they are in Debian's packages. Films are not packaged, so they are put together of recordings: dialogue out
 * of one package with pauses in it, over music and effects out of others. All packages are listed by name.
 */
import { basename, join } from "node:path";
import { type AudioContent, detectContent } from "../../../src/daemon/audio/detect.ts";
import { FfmpegTool } from "../../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { seeded } from "../random.ts";
import { Findings, type Outcome } from "../scenarios/outcome.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { filesOf, partOf, unpackPackages } from "./recordings.ts";
import { atRms, lengthOf, mix, type Signal, sequence, silence, writeWav } from "./signals.ts";

/** Packages of Debian, and the recordings that are taken from them. */
const SPEECH = {
  "asterisk-core-sounds-en-g722": "usr/share/asterisk/sounds/en_US_f_Allison/{vm,demo,dir,conf,tt,agent}*.g722",
  "asterisk-core-sounds-ru-g722": "usr/share/asterisk/sounds/ru_RU_f_IvrvoiceRU/{vm,demo,dir,conf,tt,agent}*.g722",
  "asterisk-core-sounds-fr-g722": "usr/share/asterisk/sounds/fr_CA_f_June/{vm,demo,dir,conf,tt,agent}*.g722",
} as const;
const MUSIC = {
  "drascula-music": "usr/share/scummvm/drascula/audio/*.ogg",
  "extremetuxracer-data": "usr/share/games/etr/music/*.ogg",
  "singularity-music": "usr/share/games/singularity/music/*.ogg",
} as const;
const DIALOGUE = { "fillets-ng-data-nl": "usr/share/games/fillets-ng/sound/*/nl/*.ogg" } as const;
const EFFECTS = { "lincity-ng-data": "usr/share/games/lincity-ng/sounds/*.wav" } as const;

/** Seconds of a clip of music or film. */
const SECONDS = 25;
const RATE = 32_000;

/** How much is judged. */
export interface ContentAcceptance {
  /** Of each class. */
  readonly clips: number;
  readonly seed: number;
}

/** Runs it. */
export async function contentAcceptance({ clips, seed }: ContentAcceptance): Promise<Outcome> {
  const findings = new Findings();
  const random = seeded(seed);
  await using temporary = await temporaryFolder();
  await using tool = new FfmpegTool({ path: "", processes: 2, timeoutMs: 60_000 }, { clock: new SystemClock() });
  const packages = [SPEECH, MUSIC, DIALOGUE, EFFECTS].flatMap((group) => Object.keys(group));
  const folder = await unpackPackages(packages, temporary.path);
  const files = (group: Readonly<Record<string, string>>) =>
    Object.entries(group).map(([name, pattern]) => shuffled(filesOf(folder, name, pattern), random));
  findings.note("packages", packages.join(" "));

  const tally = { right: 0, all: 0 };
  const judge = async (wanted: AudioContent, name: string, sound: Signal): Promise<boolean> => {
    const path = await writeWav(join(temporary.path, "clip.wav"), sound, "s16");
    const { content, speechShare = 0 } = await detectContent(tool, path);
    tally.all++;
    if (content === wanted) tally.right++;
    else findings.note(`wrong: ${name}`, `${wanted}, called ${content} (speech ${Math.round(speechShare * 100)} %)`);
    return content === wanted;
  };
  const count = async (wanted: AudioContent, sounds: Iterable<readonly [string, Signal]>): Promise<void> => {
    let [right, all] = [0, 0];
    for (const [name, sound] of sounds) {
      all++;
      if (await judge(wanted, name, sound)) right++;
      if (all === clips) break;
    }
    findings.note(wanted, `${right} of ${all}`);
    findings.expect(all >= clips, `only ${all} clips of ${wanted} were found`);
  };
  await count("speech", recordingsOf(files(SPEECH), 6));
  await count("music", recordingsOf(files(MUSIC), SECONDS));
  const scores = files(MUSIC).flatMap((paths) => paths.slice(-8));
  await count(
    "film",
    films({ lines: files(DIALOGUE)[0] ?? [], scores, effects: files(EFFECTS)[0] ?? [] }, clips, random),
  );
  findings.note("right", `${tally.right} of ${tally.all}`);
  findings.expect(
    tally.right >= 0.95 * tally.all,
    `only ${tally.right} of ${tally.all} clips are called what they are`,
  );
  return findings.outcome();
}

/** From each package in turn, recordings that are long enough. */
function* recordingsOf(packages: readonly (readonly string[])[], least: number): Generator<[string, Signal]> {
  for (let turn = 0; packages.some((paths) => turn < paths.length); turn++)
    for (const paths of packages) {
      const path = paths[turn];
      if (path === undefined) continue;
      const sound = partOf(path, 20, SECONDS, RATE);
      if (lengthOf(sound) >= least * RATE) yield [basename(path), sound];
    }
}

/** Scenes: people talk in turns and pause, there is music or a place around them, and things happen. */
function* films(
  { lines, scores, effects }: Readonly<Record<"lines" | "scores" | "effects", readonly string[]>>,
  count: number,
  random: () => number,
): Generator<[string, Signal]> {
  let line = 0;
  const one = (paths: readonly string[]): string => paths[Math.floor(random() * paths.length)] ?? "";
  for (let scene = 0; scene < count; scene++) {
    let talk = silence(0.5 + 2 * random(), RATE, 1);
    while (lengthOf(talk) < SECONDS * RATE) {
      const said = partOf(lines[line++ % lines.length] ?? "", 0, 8, RATE);
      if (lengthOf(said) < 0.8 * RATE) continue;
      talk = sequence(talk, atRms(said, -20), silence(random() < 0.5 ? 0.4 : 1 + 2.5 * random(), RATE, 1));
    }
    talk = cut(talk);
    // Music is 8 to 16 dB under the voices, effects about as loud as they are.
    const score = one(scores);
    let sound = mix(atRms(partOf(score, 30, SECONDS, RATE), -28 - 8 * random()), talk);
    for (let index = 0; index < 4; index++) {
      const effect = atRms(partOf(one(effects), 0, 4, RATE), -22 - 6 * random());
      sound = mix(sound, sequence(silence(random() * (SECONDS - 2), RATE, 1), effect));
    }
    yield [`scene ${scene + 1} with ${basename(score)}`, sound];
  }
}

function cut({ rate, channels }: Signal): Signal {
  return { rate, channels: channels.map((samples) => samples.slice(0, SECONDS * RATE)) };
}

function shuffled<T>(values: readonly T[], random: () => number): T[] {
  return values
    .map((value) => ({ value, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ value }) => value);
}
