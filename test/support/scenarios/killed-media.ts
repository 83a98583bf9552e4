/**
 * Media of many segments, and the daemon killed with -9 in the middle: what was recorded is not fetched again, by the log of
 * the origin, and the file has every byte. Without FFmpeg, so that the bytes can be compared.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256Of, temporaryFolder } from "../files.ts";
import { startNginx } from "../nginx.ts";
import { Home } from "../program.ts";
import { packets, playlistOf } from "../segment-origin.ts";
import { waitFor } from "../wait.ts";
import { Findings, type Outcome } from "./outcome.ts";

/** How many, how large, how often. */
export interface KilledMediaOptions {
  readonly segments: number;
  /** Packets of 188 bytes in each. */
  readonly packets: number;
  readonly kills: number;
  /** Bytes a second of each request; what comes in its first second comes at once. */
  readonly rate: number;
}

/** Segments that may have come without being recorded when the daemon died: on their way, or waiting for the disk. */
const UNRECORDED = 24;

/** Runs it. */
export async function killedMedia(options: KilledMediaOptions): Promise<Outcome> {
  const { segments, kills, rate } = options;
  const findings = new Findings();
  await using www = await temporaryFolder();
  await mkdir(join(www.path, "seg"));
  const hash = createHash("sha256");
  let bytes = 0;
  for (let index = 0; index < segments; index++) {
    const segment = packets(options.packets);
    hash.update(segment);
    bytes += segment.length;
    await writeFile(join(www.path, "seg", `${index}.ts`), segment);
  }
  const digest = hash.digest("hex");
  await writeFile(join(www.path, "show.m3u8"), playlistOf(segments));
  await using nginx = await startNginx({ root: www.path, limitRate: rate });
  await using home = await Home.create({ config: '[ffmpeg]\npath = "/nonexistent/ffmpeg"\n' });
  let daemon = await home.start();
  const added = await home.ctl(["add", `${nginx.http}/limited/show.m3u8`, "--connections", "8"]);
  findings.expect(added.code === 0, `add exited ${added.code}: ${added.stderr}`);
  const id = added.stdout.trim();
  const doneCount = async (): Promise<number> => {
    const [session] = (await home.ctl(["show", id, "--json"])).json();
    const { progress } = session as { progress: { segments: { done: number } | null } };
    return progress.segments?.done ?? 0;
  };
  const atKill: number[] = [];
  for (let kill = 1; kill <= kills; kill++) {
    const goal = Math.floor((segments * kill) / (kills + 1));
    await waitFor(`${goal} segments`, async () => (await doneCount()) >= goal, 120_000);
    atKill.push(await doneCount());
    await daemon.kill();
    daemon = await home.start();
  }
  const ended = await waitFor(
    "the end",
    async () => {
      const [session] = (await home.ctl(["show", id, "--json"])).json();
      const { status } = session as { status: string };
      return (status === "completed" || status === "failed") && (session as Record<string, unknown>);
    },
    300_000,
  );
  findings.note("segments", segments);
  findings.note("bytes", bytes);
  findings.note("recorded when it was killed", atKill.join(", "));
  findings.expect(
    atKill.every((done) => done < segments),
    "it was killed when all was here: the origin is too fast",
  );
  findings.expect(ended["status"] === "completed", JSON.stringify(ended["error_info"]));
  const names = await readdir(home.downloads);
  findings.expect(names.length === 1, `left in the folder: ${names.join(", ")}`);
  const path = String(ended["path"]);
  findings.expect((await sha256Of(path)) === digest, `${path} does not have the origin's bytes`);

  const asked = (await nginx.requests()).filter(({ uri }) => uri.includes("/seg/"));
  const times = new Map<string, number>();
  for (const { uri } of asked) times.set(uri, (times.get(uri) ?? 0) + 1);
  const again = asked.length - times.size;
  findings.note("requests for segments", asked.length);
  findings.note("segments asked for again", again);
  findings.expect(times.size === segments, `${times.size} of ${segments} segments were asked for`);
  findings.expect(again <= UNRECORDED * kills, `${again} were asked for again after ${kills} kills`);
  return findings.outcome();
}
