/**
 * Audio ended in mid-run, through the real daemon and the real command line: called off by Ctrl-C, and FFmpeg killed with -9, at
 * random moments of every operation. Nothing may be left then: no file, no process, and the input as it was.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeMedia, processesWith } from "../ffmpeg.ts";
import { Home } from "../program.ts";
import { seeded } from "../random.ts";
import type { Finished } from "../run-program.ts";
import { Findings, type Outcome } from "../scenarios/outcome.ts";
import { waitFor } from "../wait.ts";

/** How much is tried. */
export interface AbortAcceptance {
  /** Seconds of sound. */
  readonly seconds: number;
  /** Of each kind, for each operation. */
  readonly times: number;
  readonly seed: number;
  /** Default: all. */
  readonly only?: readonly string[];
}

const OPERATIONS: Readonly<Record<string, readonly string[]>> = {
  normalize: [],
  denoise: ["--strength", "heavy"],
  upmix: ["--content", "music"],
  detect: [],
  validate: [],
  enhance: [],
  chain: ["--filters", "denoise_light,normalize_standard"],
  replaygain: [],
  analyze: ["--report", "REPORT"],
  process: ["--surround", "--denoise", "medium"],
};

/** Runs it. */
export async function abortAcceptance({ seconds, times, seed, only }: AbortAcceptance): Promise<Outcome> {
  const findings = new Findings();
  const random = seeded(seed);
  await using home = await Home.create();
  await home.start();
  const folder = join(home.path, "sound");
  await mkdir(folder);
  const file = join(folder, "input.flac");
  const sound = `anoisesrc=d=${seconds}:c=pink:a=0.2:r=48000[a];sine=f=330:d=${seconds}:r=48000[b];[a][b]amix=inputs=2,aformat=channel_layouts=stereo:sample_fmts=s16`;
  makeMedia("-filter_complex", sound, file);
  const digest = async () =>
    createHash("sha256")
      .update(await readFile(file))
      .digest("hex");
  const before = await digest();
  const tally = { called: 0, killed: 0, late: 0 };

  for (const [operation, options] of Object.entries(OPERATIONS)) {
    if (only !== undefined && !only.includes(operation)) continue;
    const args = [
      "--json",
      "audio",
      operation,
      ...options.map((word) => word.replace("REPORT", join(folder, "r.html"))),
      file,
    ];
    const whole = await home.ctl(args);
    findings.expect(whole.code === 0, `${operation} undisturbed exited ${whole.code}: ${whole.stdout}${whole.stderr}`);
    await removeResults(folder);
    for (let time = 0; time < times; time++) {
      const moment = () => random() * 0.8 * whole.ms;
      const called = await disturb(home, args, folder, moment(), (child) => void child.kill("SIGINT"));
      if (called === undefined) tally.late++;
      else {
        tally.called++;
        findings.expect(called.code === 130, `${operation} called off exited ${called.code}: ${called.stderr}`);
      }
      await expectNothingLeft(findings, `${operation} called off`, folder);
      const killed = await disturb(home, args, folder, moment(), (_child, pid) => process.kill(pid, "SIGKILL"));
      if (killed === undefined) tally.late++;
      else {
        tally.killed++;
        const clean = killed.code === 4 && killed.stdout.includes("FFMPEG_FAILED") && killed.stdout.includes("SIGKILL");
        findings.expect(
          clean,
          `${operation} with FFmpeg killed exited ${killed.code}: ${killed.stdout}${killed.stderr}`,
        );
      }
      await expectNothingLeft(findings, `${operation} with FFmpeg killed`, folder);
    }
  }
  findings.expect((await digest()) === before, "the input was changed");
  findings.expect((await home.ctl(["daemon", "status"])).code === 0, "the daemon did not survive it");
  findings.note("called off in mid-run", tally.called);
  findings.note("FFmpeg killed with -9", tally.killed);
  findings.note("over before it was disturbed", tally.late);
  findings.expect(tally.called > 0 && tally.killed > 0, "nothing was disturbed");
  return findings.outcome();
}

/** Lets a command run for a while, and does something to it while FFmpeg runs. @returns undefined if it was over before */
async function disturb(
  home: Home,
  args: readonly string[],
  folder: string,
  afterMs: number,
  blow: (child: { kill(signal: NodeJS.Signals): boolean }, ffmpeg: number) => void,
): Promise<Finished | undefined> {
  const running = home.startCtl(args);
  let over = false;
  void running.finished.then(() => {
    over = true;
  });
  await sleep(afterMs);
  for (;;) {
    if (over) {
      await removeResults(folder);
      return undefined;
    }
    const [pid] = processesWith(`file:${folder}`);
    if (pid !== undefined) {
      try {
        blow(running.child, pid);
        break;
      } catch {
        // It had just ended: the next one.
      }
    }
    await sleep(5);
  }
  const finished = await running.finished;
  if (finished.code === 0) {
    await removeResults(folder);
    return undefined;
  }
  return finished;
}

async function expectNothingLeft(findings: Findings, what: string, folder: string): Promise<void> {
  const clean = async () => processesWith(`file:${folder}`).length === 0 && (await readdir(folder)).length === 1;
  await waitFor(`nothing left of ${what}`, clean, 10_000).catch(async () => {
    const names = (await readdir(folder)).filter((name) => name !== "input.flac");
    findings.expect(
      false,
      `${what}: ${names.length} files left (${names}), ${processesWith(`file:${folder}`).length} processes`,
    );
  });
}

async function removeResults(folder: string): Promise<void> {
  for (const name of await readdir(folder))
    if (name !== "input.flac") await rm(join(folder, name), { recursive: true, force: true });
}
