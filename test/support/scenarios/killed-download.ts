/**
 * One large file from a server that is limited in rate; the daemon is killed with -9 at random moments, also while it
 * starts, and started again. The file has to be right, and what was fetched twice has to be bounded: a connection loses at
 * most the chunk that it was fetching, and what lay in the sockets' buffers.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { formatBytes } from "../../../src/shared/format.ts";
import { makeFile, sha256Of, temporaryFolder } from "../files.ts";
import { startNginx } from "../nginx.ts";
import { Home } from "../program.ts";
import { seeded } from "../random.ts";
import { Findings, type Outcome } from "./outcome.ts";

/** How large, how often. */
export interface KilledDownloadOptions {
  readonly size: number;
  readonly kills: number;
  readonly seed: number;
  /** Bytes a second of all connections together. nginx lets each request have its first second's share at once. */
  readonly rate: number;
  readonly connections: number;
  readonly chunkSize: number;
  /** A kill comes so many milliseconds after the start at the latest. */
  readonly longestLifeMs: number;
}

/** Runs it. */
export async function killedDownload(options: KilledDownloadOptions): Promise<Outcome> {
  const { size, kills, connections, chunkSize } = options;
  const findings = new Findings();
  await using www = await temporaryFolder();
  const digest = await makeFile(join(www.path, "large.bin"), size);
  await using nginx = await startNginx({ root: www.path, limitRate: Math.floor(options.rate / connections) });
  const config = `chunk_size = ${chunkSize}\nconnections_per_download = ${connections}\nconnections_per_host = ${connections}\n`;
  await using home = await Home.create({ config });
  const target = join(home.path, "large.bin");
  const url = `${nginx.http}/limited/large.bin`;

  const started = performance.now();
  let daemon: { kill(): Promise<unknown> } = await home.start();
  const added = await home.ctl(["add", url, "-o", target]);
  findings.expect(added.code === 0, `add exited ${added.code}: ${added.stderr}`);
  const random = seeded(options.seed);
  let early = 0;
  for (let kill = 1; kill <= kills; kill++) {
    await sleep(20 + random() * options.longestLifeMs);
    await daemon.kill();
    if (
      await sha256Of(target).then(
        () => true,
        () => false,
      )
    )
      early++;
    daemon = kill < kills ? home.launch() : await home.start();
  }
  findings.expect(early === 0, `the file was complete before ${early} of the kills: not all came during the download`);
  const waited = await home.ctl(["get", url, "-o", target, "--quiet"], { timeoutMs: 600_000 });
  const seconds = (performance.now() - started) / 1000;
  findings.expect(waited.code === 0, `get exited ${waited.code}: ${waited.stderr}`);
  findings.expect((await sha256Of(target).catch(() => "")) === digest, "the file is not right");

  await daemon.kill();
  const sent = (await nginx.requests()).reduce((sum, request) => sum + request.bytes, 0);
  const buffers = await socketBuffers();
  const bound = size + kills * connections * (chunkSize + buffers);
  findings.expect(sent <= bound, "more was fetched than the bound allows");
  findings.note("size", size);
  findings.note("kills", kills);
  findings.note("seed", options.seed);
  findings.note("seconds", seconds.toFixed(1));
  findings.note("bytes a second", Math.round(sent / seconds));
  findings.note("sha256", digest);
  findings.note("body_bytes_sent", sent);
  findings.note("bound", `${bound} = ${size} + ${kills} × ${connections} × (${chunkSize} + ${buffers})`);
  findings.note("bound without buffers", size + kills * connections * chunkSize);
  findings.note("fetched_twice", `${formatBytes(sent - size)}, ${formatBytes((sent - size) / kills)} a kill`);
  return findings.outcome();
}

/** Bytes that may lie between nginx and the daemon on one connection: the largest send and receive buffer of TCP. */
async function socketBuffers(): Promise<number> {
  const largest = await Promise.all(
    ["tcp_wmem", "tcp_rmem"].map(async (name) =>
      Number((await readFile(`/proc/sys/net/ipv4/${name}`, "utf8")).trim().split(/\s+/)[2]),
    ),
  );
  return largest.reduce((sum, bytes) => sum + bytes, 0);
}
