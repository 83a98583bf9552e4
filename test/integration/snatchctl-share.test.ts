/** snatchctl share, shares, unshare, network, fetch: what it prints, what it sends, and what nobody gets to see. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join, resolve } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import type { DownloadRequest } from "../../src/gen/snatch/v1/download_service.ts";
import { FakeDaemon } from "../support/fake-daemon.ts";
import { hasProgram } from "../support/has-program.ts";
import { publicIdOf, someCode } from "../support/memory-sharing.ts";
import { type RpcFixture, rpcFixture } from "../support/rpc-server.ts";
import { jsonLines, type RunOptions, snatchctl, startSnatchctl, temporaryFolder } from "../support/snatchctl.ts";
import { parseStrace } from "../support/strace.ts";

const CODE = /[0-9A-HJKMNP-TV-Z]{5}(?:-[0-9A-HJKMNP-TV-Z]{5}){4}/;
const MAIN = resolve("src/client/main.ts");
const FAKE = resolve("test/support/fake-daemon.ts");
const ESCAPE = String.fromCharCode(27);

/** Which of a caller's settings decide about colours: with `CI` alone Node says that a terminal has none. */
const COLOUR_SETTINGS = ["CI", "TF_BUILD", "NO_COLOR", "FORCE_COLOR", "NODE_DISABLE_COLORS", "COLORTERM", "TMUX"];

/** Runs snatchctl at a terminal of its own, which has colours wherever the test itself runs. */
async function atTerminal(
  args: readonly string[],
  typed = "",
  prompt = "",
  before: readonly string[] = [],
): Promise<{ code: number; screen: string }> {
  const command = [...before, process.execPath, MAIN, ...args].map((word) => `'${word}'`).join(" ");
  const inherited = Object.entries(process.env).filter(([name]) => !COLOUR_SETTINGS.includes(name));
  const child = spawn("script", ["-qefc", command, "/dev/null"], {
    env: { ...Object.fromEntries(inherited), TERM: "xterm-256color" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let screen = "";
  let waits = typed !== "";
  for await (const piece of child.stdout.setEncoding("utf8")) {
    screen += piece as string;
    if (waits && screen.includes(prompt)) child.stdin.write(typed);
    if (screen.includes(prompt)) waits = false;
  }
  child.stdin.end();
  const code = child.exitCode ?? (await new Promise<number>((done) => child.once("exit", (exit) => done(exit ?? 1))));
  return { code, screen };
}

describe("snatchctl share and its like", () => {
  let fixture: RpcFixture;
  const folder = () => fixture.folder;
  const at = () => ["--address", `unix:${fixture.socket}`];
  const run = (args: readonly string[], options: RunOptions = {}) =>
    snatchctl([...at(), ...args], { cwd: folder(), ...options });

  before(async () => {
    fixture = await rpcFixture({ listen: ["127.0.0.1:0"] });
    await fixture.server.start();
    await mkdir(join(folder(), "holiday"));
    await writeFile(join(folder(), "holiday", "a.txt"), "a".repeat(2048));
    await writeFile(join(folder(), "holiday", "b.txt"), "b".repeat(1024));
    await symlink("/etc/passwd", join(folder(), "holiday", "link\u001b[2J"));
  });
  after(() => fixture[Symbol.asyncDispose]());
  const asked = () => fixture.daemon.sharing.asked.at(-1);

  test("shows the code, its link, how long it lasts and what the other end types", async () => {
    const { code, stdout, stderr } = await run(["share", "holiday", "--expires", "1d", "--max-fetches", "2"]);
    assert.equal(code, 0, stderr);
    const [shared = ""] = CODE.exec(stdout) ?? [];
    assert.match(stdout, /^holiday: 2 files, 3\.00 KiB$/m);
    assert.match(stdout, new RegExp(`^ {2}code {3}${shared}$`, "m"));
    assert.match(stdout, new RegExp(`^ {2}link {3}snatch:${shared}$`, "m"));
    const lasts =
      /^ {2}lasts {2}1 d, until \d{4}-\d\d-\d\d .*, or until it was fetched 2 times; snatchctl unshare [\da-f]{8} /m;
    assert.match(stdout, lasts);
    assert.match(stdout, new RegExp(`^At the other end: snatchctl fetch ${shared}$`, "m"));
    assert.match(stderr, /^left out .*link\\x1b\[2J: a symbolic link$/m);
    assert.match(stderr, /^Whoever has the code can fetch it/m);
    assert.doesNotMatch(stdout, /[█▀▄]/, "no QR code where no terminal is");
    assert.deepEqual(asked(), {
      paths: [join(folder(), "holiday")],
      options: { expiresInMs: 86_400_000, maxFetches: 2 },
    });
  });

  test("with --json gives all of it, with --quiet the code alone", async () => {
    const { stdout, stderr, code } = await run(["--json", "share", "holiday", "--name", "Trip", "--max-peers", "3"]);
    assert.equal(code, 0, stderr);
    assert.equal(stderr, "");
    const [made] = jsonLines(stdout);
    const shared = String(made?.["code"]);
    assert.match(shared, CODE);
    assert.deepEqual(
      [made?.["link"], made?.["share_id"], made?.["name"], made?.["size"], made?.["file_count"], made?.["max_peers"]],
      [`snatch:${shared}`, publicIdOf(shared), "Trip", 3072, 2, 3],
    );
    assert.match(String(made?.["root"]), /^[0-9a-f]{64}$/);
    assert.ok(Date.parse(String(made?.["expires_at"])) > Date.now());
    assert.deepEqual(made?.["left_out"], [
      { path: join(folder(), "holiday", "link\u001b[2J"), reason: "a symbolic link" },
    ]);
    const quiet = await run(["--quiet", "share", "holiday/a.txt", "--expires", "never", "--new"]);
    assert.match(quiet.stdout, new RegExp(`^${CODE.source}\n$`));
    assert.equal(quiet.stderr, "");
    assert.deepEqual(asked()?.options, { expiresInMs: 0, fresh: true });
  });

  test("says plainly what no encryption means", async () => {
    const { stderr } = await run(["share", "holiday/a.txt", "--no-encryption"]);
    assert.match(stderr, /on the local network others can read the bytes/);
    assert.deepEqual(asked()?.options, { encryption: false });
  });

  test("what makes no sense is told before a daemon is started", async () => {
    await using home = await temporaryFolder();
    for (const [args, said] of [
      [["nowhere.bin"], /SHARE_INVALID: .*nowhere\.bin cannot be shared: ENOENT/],
      [[""], /a path is empty/],
      [["a", " "], /a path is empty/],
      [["a", "--expires", "soon"], /--expires: "soon" is not a duration/],
      [["a", "--expires", "0s"], /over at once/],
      [["a", "--max-fetches", "0"], /--max-fetches/],
      [[], /missing required argument/],
    ] as const) {
      await writeFile(join(home.path, "a"), "a");
      const { code, stderr } = await snatchctl(["--home", home.path, "share", ...args], { cwd: home.path });
      assert.equal(code, 2, stderr);
      assert.match(stderr, said);
    }
    assert.equal(existsSync(join(home.path, "snatchd.log")), false);
  });

  test("Ctrl-C while files are read shares nothing", async () => {
    const { sharing } = fixture.daemon;
    const reading = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    sharing.beforeShare = (signal) => {
      reading.resolve();
      return new Promise((_, reject) =>
        signal.addEventListener("abort", () => {
          ended.resolve();
          reject(signal.reason as Error);
        }),
      );
    };
    const { length } = await sharing.shares();
    using running = startSnatchctl([...at(), "share", join(folder(), "holiday")]);
    await reading.promise;
    running.child.kill("SIGINT");
    const { code, stdout, stderr } = await running.finished;
    assert.deepEqual([code, stdout, stderr], [130, "", "nothing was shared\n"]);
    await ended.promise;
    sharing.beforeShare = () => Promise.resolve();
    assert.equal((await sharing.shares()).length, length);
  });

  test("at a terminal there is a QR code, in black on white", hasProgram("script"), async () => {
    const shown = await atTerminal([...at(), "share", join(folder(), "holiday", "a.txt")]);
    assert.equal(shown.code, 0, shown.screen);
    const rows = shown.screen.split("\n").filter((line) => line.startsWith(`${ESCAPE}[30m${ESCAPE}[107m`));
    assert.ok(rows.length >= 12, shown.screen);
    const without = await atTerminal([...at(), "share", join(folder(), "holiday", "a.txt"), "--no-qr"]);
    assert.match(without.screen, CODE);
    assert.doesNotMatch(without.screen, /[█▀▄]/);
  });

  test("shares lists them, with codes only if they are asked for; unshare ends them by id and by code", async () => {
    for (const { id } of await fixture.daemon.sharing.shares()) await fixture.daemon.sharing.unshare(id);
    assert.match((await run(["shares"])).stderr, /nothing is shared/);
    const codes: string[] = [];
    for (const name of ["a.txt", "b.txt"])
      codes.push((await run(["--quiet", "share", `holiday/${name}`])).stdout.trim());
    const [first = "", second = ""] = codes;
    fixture.daemon.sharing.change(publicIdOf(first), {
      fetchCount: 1,
      maxFetches: 3,
      peerCount: 2,
      problem: "it was changed",
    });
    const { stdout } = await run(["shares"]);
    assert.doesNotMatch(stdout, CODE);
    assert.match(stdout, /^ID +FILES +SIZE +FETCHED +PEERS +ENDS +NAME$/m);
    assert.match(
      stdout,
      new RegExp(
        `^${publicIdOf(first).slice(0, 8)} +1 +2\\.00 KiB +1/3 +2/10 +in (7 d|6 d 23 h) +a\\.txt: it was changed$`,
        "m",
      ),
    );
    const withCodes = await run(["shares", "--codes"]);
    assert.ok(codes.every((code) => withCodes.stdout.includes(code)));
    const [json, other] = jsonLines((await run(["--json", "shares", "--codes"])).stdout);
    assert.deepEqual([json?.["code"], json?.["problem"], other?.["code"]], [first, "it was changed", second]);

    assert.match(
      (await run(["unshare", publicIdOf(first).slice(0, 8)])).stdout,
      /^a\.txt is not shared any more; the files stay$/m,
    );
    assert.equal((await run(["unshare", `snatch:${second.toLowerCase().replaceAll("-", "")}`])).code, 0);
    const gone = await run(["unshare", second]);
    assert.equal(gone.code, 2);
    assert.match(gone.stderr, /SHARE_NOT_FOUND/);
    assert.doesNotMatch(gone.stderr, CODE);
    const wrong = await run(["unshare", second.replace(/.$/, (last) => (last === "0" ? "1" : "0"))]);
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /CODE_INVALID/);
    assert.doesNotMatch(wrong.stderr, CODE);
  });

  test("a caller over TCP does not share", async () => {
    const [address = ""] = fixture.tcp();
    const remote = ["--address", address, "--token-file", fixture.tokenFile];
    const { code, stderr } = await snatchctl([...remote, "share", "/etc/passwd"]);
    assert.equal(code, 9);
    assert.match(stderr, /PERMISSION_DENIED: sharing files is only possible over the Unix socket/);
    assert.equal((await snatchctl([...remote, "network"])).code, 0);
    assert.equal((await snatchctl([...remote, "network", "--probe"])).code, 9);
  });

  test("network says whether others get in, and what to do", async () => {
    const { sharing } = fixture.daemon;
    assert.match((await run(["network"])).stdout, /^reachable +nothing listens/m);
    sharing.state = {
      ...sharing.state,
      listening: true,
      port: 4711,
      peerId: "ab".repeat(32),
      localAddresses: ["192.168.0.7"],
      natType: "symmetric",
      mappingProblem: "the router has a private address itself (10.0.0.3)\u001b[2J",
      ice: false,
      iceProblem: "@roamhq/wrtc is not installed",
      discovery: [{ name: "dht", state: "12 nodes" }],
      peers: [
        {
          peerId: "cd".repeat(32),
          path: "relay-udp",
          address: "198.51.100.4:5000",
          suite: "TLS_AES_256_GCM_SHA384",
          shareId: "0".repeat(32),
          direction: "both",
          sentBytes: 50 * 1024 * 1024,
          receivedBytes: 1024,
          since: Date.now() - 10_000,
        },
      ],
    };
    const { stdout } = await run(["network", "--probe"]);
    assert.equal(sharing.probes.at(-1), true);
    assert.match(stdout, /^to do +let the router pass TCP port 4711 on to this machine/m);
    assert.match(stdout, /^ +set a TURN server/m);
    assert.match(stdout, /^mapping +the router has a private address itself \(10\.0\.0\.3\)\\x1b\[2J$/m);
    assert.match(stdout, /^found by +dht: 12 nodes$/m);
    assert.match(
      stdout,
      /^ {2}cdcdcdcd via relay \(TURN over UDP\) \(198\.51\.100\.4:5000\), was given 50\.0 MiB, [\d.]+ MiB\/s, has given 1\.00 KiB/m,
    );
    const [json] = jsonLines((await run(["--json", "network"])).stdout);
    assert.deepEqual(
      [json?.["nat_type"], json?.["reached"], json?.["port"], json?.["external_ip"]],
      ["symmetric", false, 4711, null],
    );
  });
});

describe("snatchctl fetch", () => {
  let home: Awaited<ReturnType<typeof temporaryFolder>>;
  let daemon: FakeDaemon;
  const run = (args: readonly string[], options: RunOptions = {}) =>
    snatchctl(["--home", home.path, ...args], { cwd: home.path, ...options });
  const requests = () =>
    daemon.requests
      .filter(({ method }) => method === "addDownloads")
      .flatMap(({ request }) => (request as { downloads: DownloadRequest[] }).downloads);

  before(async () => {
    home = await temporaryFolder();
    daemon = new FakeDaemon();
    await daemon.start(`unix:${join(home.path, "snatchd.sock")}`);
  });
  after(async () => {
    await daemon[Symbol.asyncDispose]();
    await home[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    daemon.requests.length = 0;
  });

  test("is get snatch:CODE, and says by which way the bytes came", async () => {
    const code = someCode();
    const args = ["-d", "in", "--peer", "192.0.2.1:4000", "--peer", "[2001:db8::1]:4000", "--limit", "5M"];
    const { stdout, stderr, code: exit } = await run(["fetch", code.toLowerCase().replaceAll("-", " "), ...args]);
    assert.equal(exit, 0, stderr);
    assert.match(stdout, /^saved .*\(3\.00 MiB, .*\/s, via LAN\)$/m);
    const [request] = requests();
    assert.deepEqual(request?.urls, [`snatch:${code}`]);
    assert.deepEqual(
      [
        request.options?.peers,
        request.options?.directory,
        request.options?.limitBytesPerSecond,
        request.options?.share,
      ],
      [["192.0.2.1:4000", "[2001:db8::1]:4000"], join(home.path, "in"), 5 * 1024 * 1024, false],
    );
    const [session] = jsonLines((await run(["--json", "get", `SNATCH:${code}`])).stdout);
    assert.deepEqual([session?.["via"], session?.["url"]], [["lan"], `snatch:share/${publicIdOf(code)}`]);
  });

  test("takes the code from a pipe", async () => {
    const code = someCode();
    assert.equal((await run(["fetch", "-"], { input: `\n  snatch:${code}  \nmore\n` })).code, 0);
    assert.deepEqual(requests()[0]?.urls, [`snatch:${code}`]);
    const none = await run(["fetch", "-"], { input: "\n" });
    assert.equal(none.code, 2);
    assert.match(none.stderr, /CODE_INVALID: there is no code on standard input/);
  });

  test("asks for it at a terminal, and does not show it", hasProgram("script"), async () => {
    const code = someCode();
    const typed = `xy\u007f\u007f${code}\r`;
    const { code: exit, screen } = await atTerminal(["--home", home.path, "fetch", "-"], typed, "Code (not shown): ");
    assert.equal(exit, 0, screen);
    assert.deepEqual(requests()[0]?.urls, [`snatch:${code}`]);
    assert.ok(!screen.includes(code) && !screen.includes("xy"), screen);
    const left = await atTerminal(["--home", home.path, "fetch", "-"], "AB\u0003", "Code (not shown): ");
    assert.equal(left.code, 130);
  });

  test("the terminal shows nothing that is typed from the question on", hasProgram("strace"), async () => {
    const trace = join(home.path, "trace");
    const strace = ["strace", "-f", "-o", trace, "-e", "trace=ioctl,write,writev"];
    const left = await atTerminal(["--home", home.path, "fetch", "-"], "\u0003", "Code (not shown): ", strace);
    assert.equal(left.code, 130);
    const calls = parseStrace(await readFile(trace, "utf8"));
    const question = calls.find(({ args }) => args.includes("Code (not shown)"));
    const hidden = calls.find(({ name, args }) => name === "ioctl" && /TCSETS/.test(args) && !/\bECHO\b/.test(args));
    assert.ok(question && hidden && hidden.end < question.begin, `${hidden?.text}\n${question?.text}`);
  });

  test("a mistyped code is told before a daemon is started, and not repeated", async () => {
    await using other = await temporaryFolder();
    const code = someCode();
    const wrong = `${code.slice(0, -1)}${code.endsWith("Z") ? "Y" : "Z"}`;
    for (const [args, input] of [
      [["fetch", wrong], ""],
      [["get", `snatch:${wrong}`], ""],
      [["add", `snatch:${wrong}`], ""],
      [["--json", "get", `snatch:${wrong}`], ""],
      [["fetch", "-"], `${wrong}\n`],
    ] as const) {
      const { code: exit, stdout, stderr } = await snatchctl(["--home", other.path, ...args], { input });
      assert.equal(exit, 2);
      assert.match(stdout + stderr, /CODE_INVALID.*check character|check character.*CODE_INVALID/s);
      assert.ok(!(stdout + stderr).includes(wrong.slice(0, 9)), stdout + stderr);
    }
    assert.equal(existsSync(join(other.path, "snatchd.log")), false);
  });

  test("peers that make no sense are refused, and so are peers of nothing", async () => {
    const bad = await run(["fetch", someCode(), "--peer", "nowhere"]);
    assert.equal(bad.code, 2);
    assert.match(bad.stderr, /--peer: "nowhere" is not host:port/);
    const useless = await run(["get", "https://fake.test/ok", "--peer", "h:1"]);
    assert.equal(useless.code, 2);
    assert.match(useless.stderr, /no snatch:CODE is asked for/);
  });

  test("with --share the code of the new share is shown, once; what came by a code keeps it", async () => {
    const { stdout } = await run(["get", "https://fake.test/ok1", "--share"]);
    const [code = ""] = CODE.exec(stdout) ?? [];
    assert.match(
      stdout,
      new RegExp(`^shared by the code ${code}; snatchctl unshare ${publicIdOf(code).slice(0, 8)} ends it$`, "m"),
    );
    assert.equal(requests()[0]?.options?.share, true);
    const own = someCode();
    const [session] = jsonLines((await run(["--json", "fetch", own, "--share"])).stdout);
    assert.deepEqual([session?.["code"], session?.["share_id"]], [own, publicIdOf(own)]);
    assert.doesNotMatch((await run(["get", "https://fake.test/ok2"])).stdout, CODE);
  });

  test("the list of processes does not show the code while it waits, nor does the daemon that it starts", async () => {
    const code = someCode();
    const socket = join(home.path, "silent.sock");
    // Takes the call and never answers.
    const silent = createServer();
    await new Promise<void>((ready) => silent.listen(socket, ready));
    try {
      for (const args of [
        ["fetch", code],
        ["get", `snatch:${code}`],
        ["add", `snatch:${code}`],
      ]) {
        const called = once(silent, "connection");
        using running = startSnatchctl(["--address", `unix:${socket}`, ...args]);
        const [connection] = (await called) as [Socket];
        const shown = await readFile(`/proc/${running.child.pid}/cmdline`, "utf8");
        running.child.kill("SIGKILL");
        await running.finished;
        connection.destroy();
        assert.equal(shown.replaceAll("\0", " ").trim(), `snatchctl ${args[0] === "add" ? "add" : "get"}`);
      }
    } finally {
      silent.close();
    }

    await using other = await temporaryFolder();
    const env = { SNATCHD_PROGRAM: FAKE };
    const started = await snatchctl(["--home", other.path, "fetch", code], { env });
    assert.equal(started.code, 0, started.stderr);
    const pid = /started snatchd \(pid (\d+)\)/.exec(started.stderr)?.[1] ?? "";
    assert.ok(!(await readFile(`/proc/${pid}/cmdline`, "utf8")).includes(code));
    assert.ok(!(started.stdout + started.stderr).includes(code.slice(5, 14)));
    process.kill(Number(pid));
  });
});
