/** The units as systemd itself judges them, and the folders and sockets in them against those of the programs. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { loadConfig } from "../../src/daemon/config/load.ts";
import { EXIT } from "../../src/shared/errors.ts";
import { locate } from "../../src/shared/paths.ts";
import { missing } from "../support/tools.ts";

const run = promisify(execFile);
const SYSTEMD = new URL("../../systemd/", import.meta.url).pathname;
const PLIST = new URL("../../launchd/dev.snatch.snatchd.plist", import.meta.url).pathname;
const skip = missing("systemd-analyze");

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "snatch-units-"));
});
after(() => rm(folder, { recursive: true, force: true }));

const unit = (name: string) => readFile(join(SYSTEMD, name), "utf8");
/** All values of a key of a unit. */
const values = (text: string, key: string) =>
  [...text.matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].map(([, value]) => value);

/** Installs both units of a kind under their names, with a program that is there. */
async function install(kind: "system" | "user", change = (text: string) => text): Promise<string[]> {
  const target = await mkdtemp(join(folder, `${kind}-`));
  const program = join(target, "snatchd");
  await writeFile(program, "#!/bin/sh\n", { mode: 0o755 });
  const source = kind === "system" ? "snatchd" : "snatchd-user";
  return Promise.all(
    ["service", "socket"].map(async (type) => {
      const path = join(target, `snatchd.${type}`);
      await writeFile(path, change((await unit(`${source}.${type}`)).replaceAll("/usr/bin/snatchd", program)));
      return path;
    }),
  );
}

/** What `systemd-analyze verify` has to say; nothing if all is well. */
async function verify(kind: "system" | "user", change?: (text: string) => string): Promise<string> {
  const env = { ...process.env, XDG_RUNTIME_DIR: folder, SYSTEMD_LOG_LEVEL: "warning" };
  const { stderr } = await run(
    "systemd-analyze",
    [`--${kind}`, "--man=no", "verify", ...(await install(kind, change))],
    { env },
  );
  return stderr;
}

describe("systemd", () => {
  for (const kind of ["system", "user"] as const) {
    test(`systemd-analyze finds nothing wrong with the ${kind} units`, { skip }, async () => {
      assert.equal(await verify(kind), "");
    });
  }

  test("systemd-analyze would find a mistake", { skip }, async () => {
    assert.match(await verify("system", (text) => text.replace("Restart=", "Restrat=")), /Unknown key/);
  });

  test("the system unit's exposure is at most 2.0", { skip }, async () => {
    const { stdout } = await run("systemd-analyze", [
      "security",
      "--offline=true",
      "--threshold=20",
      join(SYSTEMD, "snatchd.service"),
    ]);
    const level = Number(/exposure level for snatchd\.service: ([\d.]+)/.exec(stdout)?.[1]);
    assert.ok(level <= 2, `exposure level ${level}`);
  });

  test("the system unit can write where the daemon writes, and the socket is where the daemon listens", async () => {
    const service = await unit("snatchd.service");
    const [state, cache, runtime, config] = ["State", "Cache", "Runtime", "Configuration"].map(
      (kind) => values(service, `${kind}Directory`)[0],
    );
    const env = {
      STATE_DIRECTORY: `/var/lib/${state}`,
      CACHE_DIRECTORY: `/var/cache/${cache}`,
      RUNTIME_DIRECTORY: `/run/${runtime}`,
      CONFIGURATION_DIRECTORY: `/etc/${config}`,
    };
    const paths = locate(undefined, env);
    for (const path of [paths.downloadDir, paths.watchDir, paths.logFile, paths.tokenFile])
      assert.ok(path.startsWith(`${env.STATE_DIRECTORY}/`), path);
    assert.deepEqual(values(await unit("snatchd.socket"), "ListenStream"), [paths.socket.replace(/^\/run\//, "%t/")]);
    const tmpfiles = await unit("snatch.tmpfiles");
    for (const path of [paths.downloadDir, paths.watchDir]) assert.match(tmpfiles, new RegExp(`^d ${path} +2`, "m"));
  });

  test("the user's socket is where snatchctl looks, and the user's unit moves nothing elsewhere", async () => {
    const paths = locate(undefined, { HOME: "/home/x", XDG_RUNTIME_DIR: "/run/user/1000" });
    const socket = values(await unit("snatchd-user.socket"), "ListenStream")[0]?.replace("%t", "/run/user/1000");
    assert.equal(socket, paths.socket);
    assert.doesNotMatch(await unit("snatchd-user.service"), /^(State|Cache|Runtime|Configuration)Directory=/m);
  });

  test("both services leave the daemon the time that it takes to end, and do not restart it in vain", async () => {
    const { daemon } = await loadConfig(undefined, { env: { SNATCH_HOME: folder } });
    for (const name of ["snatchd.service", "snatchd-user.service"]) {
      const service = await unit(name);
      assert.ok(Number(values(service, "TimeoutStopSec")[0]) > daemon.shutdown_timeout);
      assert.deepEqual(values(service, "RestartPreventExitStatus"), [`${EXIT.alreadyRunning} ${EXIT.config}`]);
      assert.deepEqual(values(service, "NotifyAccess"), ["all"]);
    }
  });

  test("user and folders are made as the unit needs them", {
    skip: missing("systemd-sysusers", "systemd-tmpfiles"),
  }, async (t) => {
    if (process.getuid?.() !== 0) return t.skip("NOT RUN: giving folders to another user needs root");
    const root = join(folder, "root");
    await mkdir(join(root, "etc"), { recursive: true });
    await run("systemd-sysusers", [`--root=${root}`, join(SYSTEMD, "snatch.sysusers")]);
    await run("systemd-tmpfiles", [`--root=${root}`, "--create", join(SYSTEMD, "snatch.tmpfiles")]);
    const uid = Number(/^snatch:x:(\d+):/m.exec(await readFile(join(root, "etc/passwd"), "utf8"))?.[1]);
    for (const [path, mode] of [
      ["var/lib/snatch", 0o750],
      ["var/lib/snatch/downloads", 0o2750],
      ["var/lib/snatch/watch", 0o2770],
      ["run/snatch", 0o750],
    ] as const) {
      const found = await stat(join(root, path));
      assert.deepEqual([found.uid, found.mode & 0o7777], [uid, mode], path);
    }
  });

  test("the instructions name files that are there", async () => {
    const files = await readdir(SYSTEMD);
    for (const name of files)
      for (const [, named] of (await unit(name)).matchAll(/systemd\/(snatch[\w.-]+)/g))
        assert.ok(files.includes(named ?? ""), `${name}: ${named}`);
  });
});

describe("launchd", () => {
  test("the plist is one, and starts the daemon", { skip: missing("python3") }, async () => {
    const program = "import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))";
    const { stdout } = await run("python3", ["-c", program, PLIST]);
    const plist = JSON.parse(stdout) as Record<string, unknown>;
    assert.equal(plist["Label"], "dev.snatch.snatchd");
    assert.match((plist["ProgramArguments"] as string[]).join(" "), /exec \/usr\/local\/bin\/snatchd/);
    assert.deepEqual(plist["KeepAlive"], { SuccessfulExit: false });
    assert.equal(plist["Umask"], 0o027);
  });

  test("its shell line makes the log's folder and passes it on", async () => {
    const script = /<string>(mkdir[^<]*)<\/string>/.exec(await readFile(PLIST, "utf8"))?.[1]?.replaceAll("&amp;", "&");
    const home = join(folder, "a home");
    const program = join(folder, "echo-arguments");
    await writeFile(program, '#!/bin/sh\nprintf "%s|" "$@"\n', { mode: 0o755 });
    const { stdout } = await run("/bin/sh", ["-c", script?.replace("/usr/local/bin/snatchd", program) ?? ""], {
      env: { HOME: home, PATH: process.env["PATH"] ?? "" },
    });
    assert.equal(stdout, `--log.file|${home}/.local/state/snatch/snatchd.log|`);
    assert.equal(locate(undefined, { HOME: home }).logFile, `${home}/.local/state/snatch/snatchd.log`);
    assert.ok((await stat(join(home, ".local/state/snatch"))).isDirectory());
  });
});
