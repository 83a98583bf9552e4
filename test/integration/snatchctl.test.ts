/** snatchctl against a daemon without downloads: what it prints, what it sends, and what it exits with. */
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { promisify } from "node:util";
import { FakeDaemon } from "../support/fake-daemon.ts";
import { jsonLines, type RunOptions, snatchctl, startSnatchctl, temporaryFolder } from "../support/snatchctl.ts";

type Session = Record<string, unknown>;

const FAKE = resolve("test/support/fake-daemon.ts");
const URL_OK = "https://fake.test/ok.iso";

describe("snatchctl", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let daemon: FakeDaemon;
  const home = () => folder.path;
  /** Runs against the daemon of this file. */
  const run = (args: readonly string[], options: RunOptions = {}) =>
    snatchctl(["--home", home(), ...args], { cwd: home(), ...options });
  const sent = (method: string) =>
    daemon.requests.filter((entry) => entry.method === method).map(({ request }) => request);

  before(async () => {
    folder = await temporaryFolder();
    daemon = new FakeDaemon();
    await daemon.start(`unix:${join(home(), "snatchd.sock")}`);
  });
  after(async () => {
    await daemon[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    daemon.sessions.clear();
    daemon.requests.length = 0;
  });

  describe("get", () => {
    test("waits, says where the file is on stdout, and exits with 0", async () => {
      const { code, stdout, stderr } = await run(["get", URL_OK, "-d", "isos"]);
      assert.equal(code, 0, stderr);
      assert.match(stdout, new RegExp(`^saved ${join(home(), "isos")}/ok\\.iso \\(3\\.00 MiB, .+/s\\)\\n$`));
      assert.equal(stderr, "");
    });

    test("exits with the code of the first failure, after everything has ended", async () => {
      const { code, stdout, stderr } = await run([
        "get",
        URL_OK,
        "https://fake.test/404",
        "nonsense",
        "https://fake.test/wait",
      ]);
      assert.equal(code, 2, "the refused one was the first");
      assert.match(stdout, /saved .*ok\.iso[\s\S]*saved .*wait/);
      assert.match(stderr, /^FAILED nonsense: INVALID_URL: /m);
      assert.match(stderr, /^FAILED https:\/\/fake\.test\/404: HTTP_NOT_FOUND: .*404\n {2}Check the URL\.$/m);
      assert.match(stderr, /^WAITING https:\/\/fake\.test\/wait: CONNECTION_LOST: .*next attempt in/m);
    });

    test("exits by the kind of the error", async () => {
      const [resource, file, scheme] = await Promise.all([
        run(["get", "https://fake.test/404"]),
        run(["get", "https://fake.test/busy"]),
        run(["get", "ftp://fake.test/x"]),
      ]);
      assert.deepEqual([resource.code, file.code, scheme.code], [4, 5, 2]);
      assert.match(scheme.stderr, /^FAILED ftp:\/\/fake\.test\/x: UNSUPPORTED_SCHEME: /);
    });

    test("with --json prints one session a line, in the spec's names", async () => {
      const { code, stdout } = await run([
        "--json",
        "get",
        URL_OK,
        "--checksum",
        `sha256=${"AB".repeat(32)}`,
        "--header",
        "X-A: b",
        "--timeout",
        "90s",
      ]);
      assert.equal(code, 0);
      const [session, ...more] = jsonLines(stdout);
      assert.equal(more.length, 0);
      assert.ok(session);
      for (const name of [
        "session_id",
        "url",
        "status",
        "created_at",
        "updated_at",
        "progress",
        "metadata",
        "options",
        "error_info",
        "path",
      ])
        assert.ok(name in session, name);
      assert.equal(session["status"], "completed");
      assert.equal(session["error_info"], null);
      assert.deepEqual(session["options"], {
        checksum: `sha-256=${"ab".repeat(32)}`,
        headers: ["X-A: b"],
        timeout: 90,
      });
      assert.deepEqual(session["metadata"], {
        title: "ok.iso",
        format: null,
        quality: null,
        content_type: null,
        validator: null,
        final_url: null,
      });
    });

    test("with --quiet says nothing when all is well, and what failed otherwise", async () => {
      const well = await run(["--quiet", "get", URL_OK]);
      assert.deepEqual([well.code, well.stdout, well.stderr], [0, "", ""]);
      const ill = await run(["--quiet", "get", "https://fake.test/404"]);
      assert.match(ill.stderr, /^FAILED .*HTTP_NOT_FOUND/);
    });

    test("takes a list from a file and from stdin, and reports lines that were refused", async () => {
      await writeFile(join(home(), "list.txt"), `# two\n${URL_OK}\nrubbish\nhttps://fake.test/404\n`);
      const file = await run(["get", "-i", "list.txt"]);
      assert.equal(file.code, 2);
      assert.match(file.stderr, /REFUSED line 3 rubbish: INVALID_URL/);
      assert.match(file.stderr, /FAILED https:\/\/fake\.test\/404/);
      assert.match(file.stdout, /^saved .*ok\.iso/);
      const pipe = await run(["get", "-i", "-"], { input: `${URL_OK}\n` });
      assert.equal(pipe.code, 0, pipe.stderr);
    });

    test("a list may be large: it is sent in pieces", async () => {
      const list = `${"#".repeat(700_000)}\n${URL_OK}\n`;
      const { code } = await run(["get", "-i", "-"], { input: list });
      assert.equal(code, 0);
      const pieces = sent("addList").length - 1;
      assert.ok(pieces >= 3, `${pieces} pieces`);
    });

    test("an empty list, or one that cannot be read, is refused", async () => {
      const [empty, missing] = await Promise.all([
        run(["get", "-i", "-"], { input: "\n" }),
        run(["get", "-i", "nowhere.txt"]),
      ]);
      assert.equal(empty.code, 2);
      assert.match(empty.stderr, /no URL in the list/);
      assert.equal(missing.code, 2);
      assert.match(missing.stderr, /nowhere\.txt cannot be read/);
    });

    test("a download that somebody pauses ends the waiting with 10", async () => {
      using running = startSnatchctl(["--home", home(), "get", "https://fake.test/hang"]);
      const id = await hanging();
      assert.equal((await run(["pause", id])).code, 0);
      const { code, stderr } = await running.finished;
      assert.equal(code, 10);
      assert.match(stderr, new RegExp(`PAUSED .*snatchctl resume ${id.slice(0, 8)}`));
    });

    test("Ctrl-C pauses what was asked for, says how to go on, and exits with 130", async () => {
      using running = startSnatchctl(["--home", home(), "get", "https://fake.test/hang", URL_OK]);
      const id = await hanging();
      running.child.kill("SIGINT");
      const { code, stderr } = await running.finished;
      assert.equal(code, 130, stderr);
      assert.match(stderr, new RegExp(`paused; go on with: snatchctl --home ${home()} resume .*${id.slice(0, 8)}`));
      assert.equal(daemon.sessions.get(id)?.status, "SESSION_STATUS_PAUSED");
    });

    test("Ctrl-C in a list pauses its batch; a second one leaves at once", async () => {
      using listed = startSnatchctl(["--home", home(), "get", "-i", "-"], { input: "https://fake.test/hang\n" });
      const id = await hanging();
      listed.child.kill("SIGINT");
      const { code, stderr } = await listed.finished;
      assert.equal(code, 130);
      assert.match(stderr, new RegExp(`resume --batch ${daemon.sessions.get(id)?.batchId}`));
      // A list that never ends is not waited for, and a second signal would find nothing left to do.
      daemon.requests.length = 0;
      using endless = startSnatchctl(["--home", home(), "get", "-i", "-"], { open: true });
      while (sent("addList").length === 0) await new Promise((next) => setTimeout(next, 5));
      endless.child.kill("SIGINT");
      assert.equal((await endless.finished).code, 130);
    });

    /** Waits until a session is active for good. */
    async function hanging(): Promise<string> {
      for (;;) {
        const found = [...daemon.sessions.values()].find(
          ({ url, status }) => url.endsWith("/hang") && status === "SESSION_STATUS_ACTIVE",
        );
        if (found && sent("follow").length > 0) return found.sessionId;
        await new Promise((next) => setTimeout(next, 5));
      }
    }
  });

  describe("add", () => {
    test("prints an id a line and does not wait", async () => {
      const { code, stdout, stderr } = await run(["add", "https://fake.test/hang1", "https://fake.test/hang2"]);
      assert.equal(code, 0);
      assert.deepEqual(stdout.trim().split("\n"), [...daemon.sessions.keys()]);
      assert.match(stderr, /^batch [\da-f-]{36}$/m);
    });

    test("makes paths absolute, and keeps -o as it is", async () => {
      await run(["add", "https://fake.test/hang", "-o", "a b%20c"]);
      assert.equal([...daemon.sessions.values()][0]?.options?.output, join(home(), "a b%20c"));
    });

    test("of a list prints the batch", async () => {
      const { code, stdout } = await run(["add", "--json", "-i", "-"], { input: `${URL_OK}\nrubbish\n` });
      assert.equal(code, 2);
      const [batch, refused] = jsonLines(stdout);
      assert.equal(batch?.["accepted_count"], 1);
      assert.equal(refused?.["status"], "refused");
      assert.equal(refused?.["line_number"], 2);
    });
  });

  describe("list and show", () => {
    test("page through everything and say where each stands", async () => {
      for (let index = 0; index < 2500; index++) daemon.add(`https://fake.test/hang-${index}`);
      const { code, stdout } = await run(["list", "--json"]);
      assert.equal(code, 0);
      assert.deepEqual(
        jsonLines(stdout).map(({ session_id }) => session_id),
        [...daemon.sessions.keys()],
      );
      assert.equal(sent("list").length, 3);
      const table = (await run(["list", "--limit", "3", "--newest"])).stdout.trimEnd().split("\n");
      assert.equal(table.length, 4);
      assert.match(table[0] ?? "", /^ID +STATUS +SIZE +DONE +NAME$/);
      assert.match(table[1] ?? "", /^[\da-f]{8} +(queued|active) .*hang-2499/);
      assert.doesNotMatch(table.join(""), new RegExp(String.fromCharCode(27)), "no colours where no terminal is");
    });

    test("filter by status and batch", async () => {
      await run(["get", "https://fake.test/404", URL_OK]);
      const failed = await run(["list", "--status", "failed"]);
      assert.match(failed.stdout, /failed .* 404 \(HTTP_NOT_FOUND\)/);
      assert.doesNotMatch(failed.stdout, /ok\.iso/);
      const batch = [...daemon.sessions.values()][0]?.batchId ?? "";
      assert.equal(jsonLines((await run(["list", "--json", "--batch", batch])).stdout).length, 2);
      assert.equal((await run(["list", "--status", "lost"])).code, 2);
      assert.match((await run(["list", "--batch", "none"])).stderr, /no sessions/);
    });

    test("a reader that has seen enough is no failure", async () => {
      for (let index = 0; index < 3000; index++) daemon.add(`https://fake.test/hang-${index}`);
      const main = resolve("src/client/main.ts");
      const command = `set -o pipefail; "${process.execPath}" "${main}" --home "${home()}" list --json | head -1`;
      const { stdout, stderr } = await promisify(execFile)("bash", ["-c", command]);
      assert.equal(jsonLines(stdout).length, 1);
      assert.equal(stderr, "");
    });

    test("a name with control characters cannot reach the terminal", async () => {
      daemon.add("https://fake.test/hang%1b%5B2J");
      const { stdout } = await run(["list"]);
      assert.match(stdout, /hang\\x1b\[2J/);
    });

    test("show tells all of one session, by the beginning of its id", async () => {
      await run(["get", "https://fake.test/404"]);
      const [id = ""] = daemon.sessions.keys();
      const { stdout } = await run(["show", id.slice(0, 8)]);
      assert.match(stdout, new RegExp(`^session +${id}$`, "m"));
      assert.match(stdout, /^error +HTTP_NOT_FOUND: /m);
      const missing = await run(["show", "ffffffff"]);
      assert.equal(missing.code, 2);
      assert.equal(
        missing.stderr,
        "snatchctl: SESSION_NOT_FOUND: there is no session ffffffff\n  See `snatchctl list` for the ids.\n",
      );
    });
  });

  test("watch prints events, as JSON too", async () => {
    using running = startSnatchctl(["--home", home(), "--json", "watch"]);
    while (sent("watch").length === 0) await new Promise((next) => setTimeout(next, 5));
    const { sessionId } = daemon.add("https://fake.test/hang");
    await running.printed(sessionId);
    running.child.kill("SIGTERM");
    const [event] = jsonLines((await running.finished).stdout);
    assert.equal(event?.["event"], "created");
    assert.equal((event?.["session"] as Session | undefined)?.["session_id"], sessionId);
    assert.equal(typeof event?.["sequence"], "number");
  });

  describe("steering", () => {
    test("pause, resume, cancel, retry and rm name what they changed", async () => {
      const { sessionId } = daemon.add("https://fake.test/hang");
      for (const [action, status] of [
        ["pause", "PAUSED"],
        ["resume", "QUEUED"],
        ["cancel", "CANCELLED"],
        ["retry", "QUEUED"],
      ] as const) {
        const { code, stdout } = await run([action, sessionId.slice(0, 8)]);
        assert.equal(code, 0);
        assert.match(stdout, new RegExp(`${sessionId.slice(0, 8)} hang`));
        assert.match(daemon.sessions.get(sessionId)?.status ?? "", new RegExp(`${status}|ACTIVE`));
      }
      assert.match((await run(["rm", "--all"])).stdout, /^removed 1 session$/m);
      assert.equal(daemon.sessions.size, 0);
    });

    test("what the status does not allow exits with 9", async () => {
      const { sessionId } = daemon.add("https://fake.test/hang");
      const { code, stderr } = await run(["--json", "retry", sessionId]);
      assert.equal(code, 9);
      const [{ error } = { error: {} }] = jsonLines(stderr);
      assert.equal((error as Record<string, unknown>)["code"], "WRONG_STATUS");
    });

    test("needs to know which sessions are meant", async () => {
      const results = await Promise.all([
        run(["pause"]),
        run(["rm", "--all", "--batch", "x"]),
        run(["cancel", "abcd", "--all"]),
      ]);
      assert.deepEqual(
        results.map(({ code }) => code),
        [2, 2, 2],
      );
      assert.equal(sent("pause").length + sent("remove").length + sent("cancel").length, 0);
    });

    test("move and limit send what was said", async () => {
      const { sessionId } = daemon.add("https://fake.test/hang");
      for (const place of ["top", "up", "down", "bottom", "7"])
        assert.equal((await run(["move", sessionId, place])).code, 0);
      assert.deepEqual(
        sent("move").map((request) => (request as { destination: unknown }).destination),
        [
          { $case: "top", value: true },
          { $case: "by", value: -1 },
          { $case: "by", value: 1 },
          { $case: "bottom", value: true },
          { $case: "position", value: 7 },
        ],
      );
      assert.equal((await run(["limit", "5M"])).stdout, "all downloads: 5.00 MiB/s\n");
      assert.equal((await run(["limit", "off", sessionId])).code, 0);
      assert.deepEqual(sent("setLimit"), [
        { sessionId: "", bytesPerSecond: 5 * 1024 * 1024 },
        { sessionId, bytesPerSecond: 0 },
      ]);
      const wrong = await Promise.all([run(["move", sessionId, "sideways"]), run(["limit", "fast"])]);
      assert.deepEqual(
        wrong.map(({ code }) => code),
        [2, 2],
      );
    });
  });

  test("config shows, gets and sets", async () => {
    assert.match((await run(["config", "show", "--origin"])).stdout, /^chunk_size +?= 8388608 {2}# file \/c\.toml:1$/m);
    assert.equal((await run(["config", "get", "download_dir"])).stdout, "/srv/files\n");
    assert.equal((await run(["config", "get", "chunk_sice"])).code, 12);
    assert.match(
      (await run(["config", "set", "chunk_size", "4194304"])).stdout,
      /chunk_size: 8388608 → 4194304 \(after a restart/,
    );
    await run(["config", "set", "download_dir", "/srv/other"]);
    await run(["config", "unset", "chunk_size"]);
    assert.deepEqual(
      sent("setConfig").map((request) => (request as { valuesJson: unknown }).valuesJson),
      [{ chunk_size: "4194304" }, { download_dir: '"/srv/other"' }, { chunk_size: "null" }],
    );
    assert.equal((await run(["config", "path"])).stdout, "/c.toml\n");
  });

  test("watch folders are added with absolute paths, listed and removed", async () => {
    assert.equal((await run(["watch-folder", "add", "lists", "-d", "isos"])).code, 0);
    const [folderJson] = jsonLines((await run(["--json", "watch-folder", "list"])).stdout);
    assert.equal(folderJson?.["path"], join(home(), "lists"));
    assert.equal(folderJson?.["directory"], join(home(), "isos"));
    assert.equal((await run(["watch-folder", "rm", "lists"])).code, 0);
    assert.equal((await run(["watch-folder", "rm", "lists"])).code, 5);
  });

  test("sessions are exported to a file of one's own and imported again", async () => {
    const { sessionId } = daemon.add("https://fake.test/hang");
    assert.equal((await run(["sessions", "export", "out.jsonl"])).code, 0);
    assert.deepEqual(jsonLines(await readFile(join(home(), "out.jsonl"), "utf8")), [{ session_id: sessionId }]);
    assert.equal((await stat(join(home(), "out.jsonl"))).mode & 0o777, 0o600);
    assert.equal((await run(["sessions", "import", "out.jsonl"])).stdout, "1 imported, 0 were here already\n");
    const bad = await run(["sessions", "import", "-"], { input: "rubbish\n" });
    assert.equal(bad.code, 2);
    assert.match(bad.stderr, /REFUSED "rubbish"/);
    assert.equal((await run(["sessions", "export", "/nowhere/out.jsonl"])).code, 5);
  });

  test("daemon status and doctor", async () => {
    const [status] = jsonLines((await run(["daemon", "status", "--json"])).stdout);
    assert.equal(status?.["pid"], process.pid);
    assert.equal(status?.["version"], "9.9.9");
    assert.equal(status?.["address"], `unix:${home()}/snatchd.sock`);
    const doctor = await run(["doctor"]);
    assert.equal(doctor.code, 0);
    assert.match(
      doctor.stdout,
      /^ok {5}Download folder: can be written\nwarn {3}FFmpeg: is not here\n +Install it\.\n$/,
    );
  });

  test("over TCP it needs the token", async () => {
    await using tcp = new FakeDaemon();
    tcp.token = "secret";
    const address = `127.0.0.1:${await tcp.start("127.0.0.1:0")}`;
    await writeFile(join(home(), "token"), "secret\n", { mode: 0o600 });
    const without = await snatchctl(["--address", address, "list"], { env: { HOME: home() } });
    assert.equal(without.code, 8);
    assert.match(without.stderr, /^snatchctl: UNAUTHENTICATED: /);
    assert.equal((await snatchctl(["--address", address, "--token-file", join(home(), "token"), "list"])).code, 0);
    const byEnvironment = { SNATCH_ADDRESS: address, SNATCH_TOKEN_FILE: join(home(), "token") };
    assert.equal((await snatchctl(["daemon", "status"], { env: byEnvironment })).code, 0);
  });

  test("usage errors exit with 2 and suggest what was meant", async () => {
    const typo = await run(["lits"]);
    assert.equal(typo.code, 2);
    assert.match(typo.stderr, /Did you mean list\?|Did you mean one of .*list/);
    assert.equal((await run(["get"])).code, 2);
    assert.equal((await run(["get", URL_OK, "--if-exists", "burn"])).code, 2);
    assert.equal((await run([])).code, 2);
    assert.equal((await run(["--version"])).code, 0);
  });
});

describe("snatchctl without a daemon", () => {
  test("says so and how to start one, and exits with 8", async () => {
    await using folder = await temporaryFolder();
    const { code, stderr } = await snatchctl(["--home", folder.path, "list"]);
    assert.equal(code, 8);
    assert.match(
      stderr,
      /^snatchctl: DAEMON_UNREACHABLE: no daemon runs at unix:.*snatchd\.sock.*\n {2}Start it with `snatchctl daemon start`/,
    );
  });

  test("get starts one and says so; daemon stop waits until it is gone", async () => {
    await using folder = await temporaryFolder();
    const env = { SNATCH_HOME: folder.path, SNATCHD_PROGRAM: FAKE };
    const { code, stdout, stderr } = await snatchctl(["get", URL_OK], { env });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^saved /);
    const pid = Number(/^started snatchd \(pid (\d+)\)$/m.exec(stderr)?.[1]);
    assert.ok(pid > 0);
    assert.match((await snatchctl(["daemon", "start"], { env })).stderr, new RegExp(`runs already \\(pid ${pid}\\)`));
    assert.equal((await snatchctl(["daemon", "stop"], { env })).code, 0);
    assert.ok(!existsSync(`/proc/${pid}/stat`) || / Z /.test(await readFile(`/proc/${pid}/stat`, "latin1")));
    assert.equal((await snatchctl(["daemon", "stop"], { env })).code, 8);
  });

  test("a daemon that does not start is reported with its last words and its exit code", async () => {
    await using folder = await temporaryFolder();
    const env = { SNATCH_HOME: folder.path, SNATCHD_PROGRAM: FAKE, FAKE_DAEMON_FAILS: "1" };
    const { code, stderr } = await snatchctl(["add", URL_OK], { env });
    assert.equal(code, 12);
    assert.match(stderr, /CONFIG_INVALID: snatchd did not start, it ended with exit code 12/);
    assert.match(stderr, /the configuration has an error: chunk_sice/);
  });

  test("a daemon that dies meanwhile is waited for, and started again by the get that started it", async () => {
    await using folder = await temporaryFolder();
    const env = { SNATCH_HOME: folder.path, SNATCHD_PROGRAM: FAKE };
    using running = startSnatchctl(["get", "https://fake.test/hang"], { env });
    const pid = Number(/started snatchd \(pid (\d+)\)/.exec(await running.said("started snatchd"))?.[1]);
    while (!(await snatchctl(["list"], { env })).stdout.includes("active")) {}
    process.kill(pid, "SIGKILL");
    await running.said("waiting for the daemon to come back");
    await running.said("the daemon is back");
    // This daemon keeps nothing: the session is unknown to the new one, which ends the waiting.
    const { stderr } = await running.finished;
    assert.equal(stderr.match(/started snatchd/g)?.length, 2);
    assert.equal((await snatchctl(["daemon", "stop"], { env })).code, 0);
  });

  test("doctor lets the daemon's program look, and config path knows where it would be", async () => {
    await using folder = await temporaryFolder();
    const env = { SNATCH_HOME: folder.path, SNATCHD_PROGRAM: FAKE };
    const { code, stdout } = await snatchctl(["doctor"], { env });
    assert.equal(code, 12);
    assert.match(stdout, /^FAILED configuration: chunk_sice: unknown key; did you mean chunk_size\? \(\/c\.toml:3\)$/m);
    assert.match(stdout, /^skip {3}Network: not tried$/m);
    assert.equal((await snatchctl(["config", "path"], { env })).stdout, `${join(folder.path, "config.toml")}\n`);
  });

  test("daemon logs shows the end of the log, and follows it across a rotation", async () => {
    await using folder = await temporaryFolder();
    const log = join(folder.path, "state", "snatchd.log");
    await mkdir(join(folder.path, "state"));
    await writeFile(
      log,
      Array.from({ length: 100 }, (_, index) => `{"level":"info","msg":"line ${index}"}\n`).join(""),
    );
    const args = ["--home", folder.path, "daemon", "logs"];
    const { stdout } = await snatchctl([...args, "-n", "2"]);
    assert.equal(stdout, "INFO  line 98\nINFO  line 99\n");
    using running = startSnatchctl([...args, "-n", "1", "-f"]);
    await running.printed("INFO  line 99\n");
    await writeFile(`${log}.new`, '{"level":"info","msg":"rotated"}\n');
    await rename(`${log}.new`, log);
    await running.printed("INFO  rotated\n");
    running.child.kill();
    await running.finished;
  });
});

describe("completion", () => {
  test("scripts are there for three shells, and bash reads its own", async () => {
    for (const shell of ["bash", "zsh", "fish"]) {
      const { code, stdout } = await snatchctl(["completion", shell]);
      assert.equal(code, 0);
      assert.match(stdout, /snatchctl/);
      if (shell === "bash") execFileSync("bash", ["-n"], { input: stdout });
    }
    assert.equal((await snatchctl(["completion", "tcsh"])).code, 2);
  });

  test("answers with commands, subcommands and options", async () => {
    const [commands, subcommands, options] = await Promise.all([
      snatchctl(["complete", "--", "wat"]),
      snatchctl(["complete", "--", "daemon", ""]),
      snatchctl(["complete", "--", "get", "--che"]),
    ]);
    assert.match(commands.stdout, /^watch\b[\s\S]*^watch-folder\b/m);
    assert.match(subcommands.stdout, /^status\b/m);
    assert.match(options.stdout, /^--checksum\b/m);
  });
});
