/**
 * The README's two commands in a fresh clone of what is committed, with an empty HOME: as somebody does who has just found
 * Snatch.
 */
import { copyFile, glob, mkdir, readFile, readlink, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { makeFile, sha256Of, temporaryFolder } from "../test/support/files.ts";
import { startNginx } from "../test/support/nginx.ts";
import { newcomerBlock } from "../test/support/readme.ts";
import { type Finished, runProgram } from "../test/support/run-program.ts";
import { Findings, type Outcome } from "../test/support/scenarios/outcome.ts";

const ROOT = join(import.meta.dirname, "..");
const SIZE = 32 * 1024 * 1024;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const TIMEOUT_MS = 45 * 60_000;

/** Runs both. */
export async function newcomer(): Promise<Outcome> {
  const findings = new Findings();
  await using folder = await temporaryFolder();
  const [clone, home, www] = ["snatch", "home", "www"].map((name) => join(folder.path, name)) as [
    string,
    string,
    string,
  ];
  await runProgram("git", ["clone", "--quiet", ROOT, clone]);
  await mkdir(home);
  await mkdir(www);
  // Where this machine's registry is set; everything else of the home stays out.
  await copyFile(join(homedir(), ".npmrc"), join(home, ".npmrc")).catch(() => {});
  const readme = await readFile(join(clone, "README.md"), "utf8");
  const digest = await makeFile(join(www, "sample.bin"), SIZE);
  await using nginx = await startNginx({ root: www });

  const command = newcomerBlock(readme, "run").replace(/https?:\/\/[^\s"'`]+/, `${nginx.http}/sample.bin`);
  findings.note("run command", command);
  const ran = await asNewcomer(command, clone, home);
  findings.note("run seconds", (ran.ms / 1000).toFixed(1));
  findings.expect(ran.code === 0, `the run command exited ${ran.code}: ${(ran.stdout + ran.stderr).slice(-2000)}`);
  const found = await findFile([clone, home], digest);
  findings.note("file", found?.replace(folder.path, "") ?? "none");
  findings.note("sha256", found === undefined ? "none" : digest);
  findings.expect(found !== undefined, "no file with the right SHA-256 arrived");
  await endDaemon(home);

  const tested = await asNewcomer(newcomerBlock(readme, "test"), clone, home);
  const said = tested.stdout + tested.stderr;
  findings.note("test seconds", (tested.ms / 1000).toFixed(1));
  for (const word of ["tests", "pass", "fail", "skipped"])
    findings.note(word, new RegExp(`^(?:ℹ|#) ${word} (\\d+)`, "m").exec(said)?.[1] ?? "not said");
  findings.expect(tested.code === 0, `the test command exited ${tested.code}: ${said.slice(-3000)}`);
  await endDaemon(home);
  return findings.outcome();
}

function asNewcomer(command: string, cwd: string, home: string): Promise<Finished> {
  const certificates = process.env["NODE_EXTRA_CA_CERTS"];
  const env = {
    HOME: home,
    PATH,
    LANG: "C.UTF-8",
    ...(certificates !== undefined && { NODE_EXTRA_CA_CERTS: certificates }),
  };
  return runProgram("bash", ["-euo", "pipefail", "-c", command], { cwd, env, timeoutMs: TIMEOUT_MS });
}

/** The README may put the file anywhere below the clone or the home. */
async function findFile(folders: readonly string[], digest: string): Promise<string | undefined> {
  for (const folder of folders)
    for await (const name of glob("**/*", { cwd: folder, exclude: (entry) => entry === "node_modules" })) {
      const path = join(folder, name);
      const size = await stat(path).then(
        (found) => (found.isFile() ? found.size : 0),
        () => 0,
      );
      if (size === SIZE && (await sha256Of(path)) === digest) return path;
    }
  return undefined;
}

/** Ends the daemon that the command has left running: the process of this HOME. */
async function endDaemon(home: string): Promise<void> {
  for await (const environ of glob("/proc/[0-9]*/environ")) {
    const text = await readFile(environ, "utf8").catch(() => "");
    const pid = Number(environ.split("/")[2]);
    const isNode = (await readlink(`/proc/${pid}/exe`).catch(() => "")).includes("node");
    if (isNode && text.split("\0").includes(`HOME=${home}`)) process.kill(pid, "SIGTERM");
  }
}
