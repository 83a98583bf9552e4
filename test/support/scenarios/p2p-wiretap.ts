/**
 * Somebody listens to the wire: a file of words that are easy to find, with a name that is, goes from one daemon to another
 * while tcpdump(8) writes down every packet. Neither may be found in what it wrote.
 */
import { once } from "node:events";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256Of, temporaryFolder } from "../files.ts";
import { freePorts } from "../free-ports.ts";
import { Home } from "../program.ts";
import { startProgram } from "../run-program.ts";
import { requireTool } from "../tools.ts";
import { waitFor } from "../wait.ts";
import { Findings, type Outcome } from "./outcome.ts";

const WORDS = "the quick brown fox jumps over the lazy dog, and nobody on the wire is to know. ";
/** Bytes a second: as quick as tcpdump can write them down. */
const LIMIT = 40 * 1024 * 1024;
const NAME = "conspicuous-name-of-a-file.txt";

/** Moves such a file. @param bytes - how large it is; `suite` as in the configuration */
export async function wiretap(bytes: number, suite: "modern" | "classic"): Promise<Outcome> {
  const findings = new Findings();
  await using folder = await temporaryFolder();
  const [port = 0] = await freePorts(1);
  const config = (more: string): string =>
    `[p2p]\nsuite = "${suite}"\nmdns = false\nupnp = false\nnat_pmp = false\nstun = []\n${more}\n[p2p.dht]\nenabled = false\n`;
  await using giver = await Home.create({ config: config(`port = ${port}\nupload_limit = ${LIMIT}`) });
  await using taker = await Home.create({ config: config("") });
  await giver.start();
  await taker.start();
  const file = join(folder.path, NAME);
  await writeFile(file, WORDS.repeat(Math.ceil(bytes / WORDS.length)).slice(0, bytes));
  const captured = join(folder.path, "packets");
  const dump = startProgram(
    requireTool("tcpdump"),
    ["-i", "lo", "-s", "0", "-B", "65536", "-U", "-w", captured, "tcp", "port", String(port)],
    { timeoutMs: 120_000 },
  );
  // It says that it listens when it does.
  await once(dump.child.stderr ?? dump.child, "data");
  const shared = await giver.ctl(["share", file, "--json"]);
  const code = String(shared.json()[0]?.["code"]);
  const out = join(folder.path, "out");
  await mkdir(out);
  const fetched = await taker.ctl(["fetch", "-", "-d", out, "--peer", `127.0.0.1:${port}`], { input: code });
  // What is in its buffer would be lost.
  await waitFor("all packets", async () => (await stat(captured)).size > bytes, 10_000).catch(() => undefined);
  dump.child.kill("SIGINT");
  const { stderr } = await dump.finished;
  findings.expect(/\b0 packets dropped by kernel/.test(stderr), `packets were missed: ${stderr}`);
  findings.expect(fetched.code === 0, `fetch exited ${fetched.code}: ${fetched.stderr}`);
  if (fetched.code === 0)
    findings.expect((await sha256Of(join(out, NAME))) === (await sha256Of(file)), "the bytes are not right");
  const packets = await readFile(captured);
  findings.note(`${suite}: bytes on the wire`, packets.length);
  findings.expect(packets.length > bytes, "not all of it was written down");
  for (const secret of [WORDS.slice(0, 19), WORDS.slice(40, 59), NAME, code, code.replaceAll("-", "")])
    findings.expect(!packets.includes(secret), `"${secret}" can be read on the wire`);
  return findings.outcome();
}
