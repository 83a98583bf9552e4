/**
 * From one machine to another by a code: beside a bare TLS socket and magic-wormhole, with many small files, from two who
 * share at once, and how soon a small file is there.
 */
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { formatBytes } from "../../src/shared/format.ts";
import { selfSigned } from "../../test/support/certificate.ts";
import { makeFile } from "../../test/support/files.ts";
import { freePorts } from "../../test/support/free-ports.ts";
import { median } from "../../test/support/median.ts";
import { PROGRAMS } from "../../test/support/program.ts";
import { type Running, startProgram } from "../../test/support/run-program.ts";
import { requireTool } from "../../test/support/tools.ts";
import { waitFor } from "../../test/support/wait.ts";
import { sameFile, sameFolder } from "../checks.ts";
import { compete, type Work } from "../contest.ts";
import type { ProgramName } from "../contestants.ts";
import { measure, peakBytes, resetPeak } from "../measure.ts";
import type { Place, Snatch } from "../places.ts";
import { type Bound, megabytes, type Row } from "../row.ts";
import { settings } from "../settings.ts";
import type { Standings } from "../standings.ts";

/** Half of the large file: 1 GiB in full. */
const FILE_BYTES = settings.largeBytes / 2;

/** Files of the folder, five for each of the list's: 10,000 in full. */
const FOLDER_FILES = settings.smallCount * 5;
const FOLDER_FILE_BYTES = settings.smallBytes / 2;

/** What one who shares may send in a second while two are compared with one. */
const LIMITED = 100 * 1024 * 1024;

/** Bytes of the file whose arrival stands for the first byte. */
const FIRST_BYTES = 16 * 1024;

/** A program that moves what is shared. */
interface Mover {
  readonly name: ProgramName;
  /** @param what - the file or folder; `into` is an empty folder */
  command(what: string, into: string): Promise<readonly string[]> | readonly string[];
}

export const peers: Row = {
  id: "12",
  title: `peer to peer: ${formatBytes(FILE_BYTES)}, ${FOLDER_FILES.toLocaleString("en")} small files, two who share`,
  places: ["disk"],
  async run(place) {
    const { standings, memory } = await oneFile(place);
    const folder = await smallFiles(place);
    return {
      contests: [standings, folder],
      notes: [
        "tls: one bare TLS 1.3 socket of Node from file to file, which hashes, records and syncs nothing",
        "wormhole packs a folder into one archive, and unpacks it",
      ],
      bounds: [
        { what: "one file, wall ÷ a bare TLS socket", value: standings.ratio("tls", wall), most: 1 / 0.8, unit: "×" },
        { what: "one file, wall ÷ magic-wormhole", value: standings.ratio("wormhole", wall), most: 1 / 2, unit: "×" },
        { what: "many files, wall ÷ magic-wormhole", value: folder.ratio("wormhole", wall), most: 1, unit: "×" },
        ...memory,
        await twoGivers(place),
        await firstByte(place),
      ],
    };
  },
};

const wall = (run: { readonly wall: number }): number => run.wall;

/** How two on one machine find each other: by address. */
async function daemon(place: Place, more = ""): Promise<{ readonly snatch: Snatch; readonly peer: string }> {
  const [port = 0] = await freePorts(1);
  const config = `max_concurrent_downloads = 16\n[p2p]\nport = ${port}\nmdns = false\nupnp = false\nnat_pmp = false\nstun = []\n${more}\n[p2p.dht]\nenabled = false\n`;
  return { snatch: await place.snatch(config), peer: `127.0.0.1:${port}` };
}

async function oneFile(place: Place): Promise<{ readonly standings: Standings; readonly memory: readonly Bound[] }> {
  const folder = await place.folder("peers");
  const file = join(folder, "large.bin");
  await makeFile(file, FILE_BYTES);
  const { snatch: giver, peer } = await daemon(place);
  const { snatch: taker } = await daemon(place);
  await using _giver = giver;
  await using _taker = taker;
  const code = await share(giver, file);
  await using tls = await bareTls(folder, file);
  await using mailbox = await startMailbox();
  const fetch = { name: "snatch" as const, command: (_: string, into: string) => fetching(code, peer, into) };
  const standings = await contest(place, taker, `${formatBytes(FILE_BYTES)} from disk to disk`, "few", file, [
    fetch,
    { name: "tls", command: (_, into) => tls.command(join(into, "large.bin")) },
    { name: "wormhole", command: (what, into) => mailbox.command(what, into) },
  ]);
  const out = await place.folder("peers-memory");
  await resetPeak(giver.daemon.pid);
  const { daemonMemory = Number.NaN } = await measure(fetching(code, peer, out), {
    env: taker.home.env,
    scratch: place.path,
    daemon: taker.daemon.pid,
  });
  const given = await peakBytes(giver.daemon.pid);
  await place.drop(out, { files: "few" });
  await place.drop(folder, { files: "few" });
  return {
    standings,
    memory: [
      { what: "resident size while giving, at most", value: megabytes(given), most: 150, unit: "MB" },
      { what: "resident size while taking, at most", value: megabytes(daemonMemory), most: 150, unit: "MB" },
    ],
  };
}

async function smallFiles(place: Place): Promise<Standings> {
  const folder = await place.folder("peers-many");
  const shared = join(folder, "files");
  await mkdir(shared);
  for (let index = 0; index < FOLDER_FILES; index++) await makeFile(join(shared, `${index}.bin`), FOLDER_FILE_BYTES);
  const { snatch: giver, peer } = await daemon(place);
  const { snatch: taker } = await daemon(place);
  await using _giver = giver;
  await using _taker = taker;
  const code = await share(giver, shared);
  await using mailbox = await startMailbox();
  const title = `${FOLDER_FILES.toLocaleString("en")} files of ${formatBytes(FOLDER_FILE_BYTES)} in a folder`;
  return await contest(place, taker, title, "many", shared, [
    { name: "snatch", command: (_, into) => fetching(code, peer, into) },
    { name: "wormhole", command: (what, into) => mailbox.command(what, into) },
  ]);
}

/** Each sends at most so much in a second: two bring it in half the time that one needs. */
async function twoGivers(place: Place): Promise<Bound> {
  const folder = await place.folder("peers-two");
  const file = join(folder, "two.bin");
  await makeFile(file, Math.round(FILE_BYTES / 2));
  const limited = `upload_limit = ${LIMITED}`;
  const { snatch: first, peer: one } = await daemon(place, limited);
  const { snatch: second, peer: two } = await daemon(place, limited);
  const { snatch: taker } = await daemon(place);
  await using _first = first;
  await using _second = second;
  await using _taker = taker;
  const code = await share(first, file);
  // The second one has it from the first, and shares it on.
  const passed = await second.home.ctl(
    [...["fetch", "-", "--peer", one, "--share", "-d", await place.folder("two-passed")]],
    { input: code },
  );
  if (passed.code !== 0) throw new Error(`sharing on: exit ${passed.code}: ${passed.stderr}`);
  const seconds = async (...places: readonly string[]): Promise<number> => {
    const times: number[] = [];
    for (let round = 0; round < 3; round++) {
      const out = await place.folder("two-out");
      const args = places.flatMap((each) => ["--peer", each]);
      const {
        code: exit,
        ms,
        stderr,
      } = await taker.home.ctl(["fetch", "-", "--quiet", "-d", out, ...args], { input: code });
      if (exit !== 0) throw new Error(`fetch: exit ${exit}: ${stderr}`);
      await sameFile(file, join(out, "two.bin"));
      await place.drop(out, { files: "few" });
      times.push(ms / 1000);
    }
    return median(times);
  };
  const alone = await seconds(one);
  const both = await seconds(one, two);
  await place.drop(folder, { files: "few" });
  return {
    what: "from two who share, each limited, wall ÷ from one of them",
    value: both / alone,
    most: 0.7,
    unit: "×",
  };
}

/** From the start of `snatchctl fetch` until a small file is in place: the first byte was there before. */
async function firstByte(place: Place): Promise<Bound> {
  const folder = await place.folder("peers-first");
  const { snatch: giver, peer } = await daemon(place);
  const { snatch: taker } = await daemon(place);
  await using _giver = giver;
  await using _taker = taker;
  const times: number[] = [];
  for (let round = 0; round < settings.rounds; round++) {
    const file = join(folder, `${round}.bin`);
    await makeFile(file, FIRST_BYTES);
    const code = await share(giver, file);
    const out = await place.folder("first-out");
    const {
      ms,
      code: exit,
      stderr,
    } = await taker.home.ctl(["fetch", "-", "--quiet", "-d", out, "--peer", peer], { input: code });
    if (exit !== 0) throw new Error(`fetch: exit ${exit}: ${stderr}`);
    await sameFile(file, join(out, `${round}.bin`));
    times.push(ms / 1000);
  }
  return { what: `from the code to ${formatBytes(FIRST_BYTES)} in place`, value: median(times), most: 1, unit: "s" };
}

function contest(
  place: Place,
  snatch: Snatch,
  title: string,
  files: "few" | "many",
  what: string,
  programs: readonly Mover[],
): Promise<Standings> {
  const work: Work<Mover> = {
    command: (program, into) => program.command(what, into),
    check: (into) => {
      const name = what.slice(what.lastIndexOf("/") + 1);
      return files === "few" ? sameFile(what, join(into, name)) : sameFolder(what, join(into, name));
    },
  };
  return compete({ title, place, snatch, programs, files, work });
}

async function share({ home }: Snatch, path: string): Promise<string> {
  const result = await home.ctl(["share", path, "--json"]);
  const [made] = result.json();
  if (result.code !== 0 || typeof made?.["code"] !== "string") throw new Error(`share: ${result.stderr}`);
  return made["code"];
}

const fetching = (code: string, peer: string, into: string): readonly string[] => [
  ...[process.execPath, PROGRAMS.snatchctl, "fetch", code, "--peer", peer, "-d", into, "--quiet"],
];

/** Someone who serves the file over a bare TLS socket, again and again. */
async function bareTls(
  folder: string,
  file: string,
): Promise<AsyncDisposable & { command(into: string): readonly string[] }> {
  const { cert, key } = selfSigned();
  const [certFile, keyFile] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  await Promise.all([writeFile(certFile, cert), writeFile(keyFile, key)]);
  const program = join(import.meta.dirname, "../bare-tls.ts");
  const giver = startProgram(process.execPath, [program, "give", file, certFile, keyFile], { timeoutMs: 3_600_000 });
  const [line] = (await once(giver.child.stdout ?? giver.child, "data")) as [Buffer];
  const port = line.toString().trim();
  return {
    command: (into) => [process.execPath, program, "take", port, into],
    [Symbol.asyncDispose]: () => end(giver),
  };
}

/** The server by which two wormholes find each other. */
async function startMailbox(): Promise<AsyncDisposable & { command(what: string, into: string): readonly string[] }> {
  requireTool("wormhole");
  const [port = 0] = await freePorts(1);
  const mailbox = startProgram(
    requireTool("twist3"),
    ["wormhole-mailbox", `--port=tcp:${port}:interface=127.0.0.1`, "--channel-db=:memory:", "--usage-db=:memory:"],
    { timeoutMs: 3_600_000 },
  );
  await waitFor("the mailbox of magic-wormhole", () => listens(port));
  const script = join(import.meta.dirname, "../wormhole.sh");
  return {
    command: (what, into) => [requireTool("bash"), script, String(port), what, into],
    [Symbol.asyncDispose]: () => end(mailbox),
  };
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function end({ child, finished }: Running): Promise<void> {
  child.kill("SIGKILL");
  await finished;
}
