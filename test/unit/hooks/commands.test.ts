/** Commands as real processes: what they are told, what becomes of those that hang, flood or misbehave. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chmod, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { NumberedEvent } from "../../../src/daemon/core/events.ts";
import type { Session } from "../../../src/daemon/core/session.ts";
import { type CommandSettings, Commands } from "../../../src/daemon/hooks/commands.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { type TemporaryFolder, temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait.ts";

const ended = (changed: Partial<Session> = {}): Session => ({
  id: "5f0c8e0a-0000-4000-8000-000000000000",
  seq: 1,
  url: "http://user:pass@a.test/file?token=abc",
  mirrors: [],
  options: { checksum: { algorithm: "sha-256", value: "00ff" } },
  status: "completed",
  createdAt: 0,
  updatedAt: 0,
  attempt: 1,
  progress: { downloadedBytes: 3 },
  metadata: {},
  file: { path: "/x/file", size: 3, mtimeMs: 0, ino: 1 },
  ...changed,
});

async function fixture(settings: Partial<CommandSettings>, env: Record<string, string> = {}) {
  const folder = await temporaryFolder();
  const logger = new RecordLogger();
  let listener: ((event: NumberedEvent) => void) | undefined;
  const commands = new Commands({
    sessions: {
      subscribe(given) {
        listener = given;
        return () => {
          listener = undefined;
        };
      },
    },
    settings: () => ({ onComplete: "", onError: "", shell: false, timeoutMs: 20_000, atOnce: 2, ...settings }),
    env: { PATH: process.env["PATH"], OUT: folder.path, ...env },
    clock: new SystemClock(),
    logger,
  });
  await commands.start();
  return {
    folder,
    logger,
    commands,
    tell: (session: Session) =>
      listener?.({
        sequence: 1,
        time: 0,
        event: { type: "updated", session, previous: { ...session, status: "active" } },
      }),
    messages: () => logger.lines.map(({ message }) => message),
    async [Symbol.asyncDispose]() {
      await commands[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** A script that writes its environment into a file when it is done. */
async function script(folder: TemporaryFolder, body: string): Promise<string> {
  const path = join(folder.path, "script");
  await writeFile(path, `#!/bin/sh\n${body}\n`);
  await chmod(path, 0o755);
  return path;
}

const hasFile = (path: string) => waitFor(`${path} is there`, () => existsSync(path));

/** True while the process is there and not a zombie. */
async function lives(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return stat !== "" && !/\) Z /.test(stat);
}

describe("commands", () => {
  test("are told of the end in their environment; the URL without its secrets", async () => {
    await using scratch = await temporaryFolder();
    const path = await script(scratch, 'env > "$OUT/env.new" && mv "$OUT/env.new" "$OUT/env"');
    await using it = await fixture({ onComplete: `${path} 'a b'` }, { NOTIFY_SOCKET: "/run/x", SNATCH_FILE: "stale" });
    it.tell(ended());
    await hasFile(join(it.folder.path, "env"));
    const env = new Map(
      (await readFile(join(it.folder.path, "env"), "utf8")).split("\n").map((line) => {
        const at = line.indexOf("=");
        return [line.slice(0, at), line.slice(at + 1)] as const;
      }),
    );
    const told = Object.fromEntries([...env].filter(([name]) => name.startsWith("SNATCH_")));
    assert.deepEqual(told, {
      SNATCH_EVENT: "complete",
      SNATCH_SESSION_ID: "5f0c8e0a-0000-4000-8000-000000000000",
      SNATCH_URL: "http://user:***@a.test/file?token=***",
      SNATCH_FILE: "/x/file",
      SNATCH_SIZE: "3",
      SNATCH_SHA256: "00ff",
    });
    assert.equal(env.has("NOTIFY_SOCKET"), false);
  });

  test("a failed download is told with its error; no stale file", async () => {
    await using it = await fixture(
      { onError: `sh -c 'echo "$SNATCH_ERROR_CODE $SNATCH_ERROR_MESSAGE ${"$"}{SNATCH_FILE-none}" >&2'` },
      { SNATCH_FILE: "stale" },
    );
    const error = { code: "HTTP_NOT_FOUND", message: "not\0 there", retryable: false, time: 0 } as const;
    const { file, ...rest } = ended({ status: "failed", error });
    it.tell(rest);
    await waitFor("its words", () => it.messages().includes("HTTP_NOT_FOUND not there none"));
  });

  for (const shell of [false, true])
    test(`hostile names are only ever data (shell: ${shell})`, async () => {
      await using scratch = await temporaryFolder();
      const path = await script(scratch, 'printf %s "$1$SNATCH_FILE" > "$OUT/got.new"; mv "$OUT/got.new" "$OUT/got"');
      await using it = await fixture({ onComplete: shell ? `${path} "" ` : `${path} $(touch\\ "$OUT"/z)`, shell });
      const hostile = "/x/$(touch $OUT/a); rm -rf $OUT/*; `touch $OUT/b`\n| touch $OUT/c & \"'--flag";
      it.tell(ended({ file: { path: hostile, size: 3, mtimeMs: 0, ino: 1 } }));
      await hasFile(join(it.folder.path, "got"));
      const got = await readFile(join(it.folder.path, "got"), "utf8");
      assert.equal(got, shell ? hostile : `$(touch $OUT/z)${hostile}`);
      assert.deepEqual(await readdir(it.folder.path), ["got"]);
    });

  test("one that takes too long is ended with all that it started", async () => {
    await using it = await fixture({
      onComplete: `sh -c 'trap "" TERM; sleep 600 & echo "child $!"; wait; sleep 600'`,
      timeoutMs: 300,
    });
    it.tell(ended());
    const line = await waitFor("the child's pid", () => it.messages().find((message) => message.startsWith("child ")));
    const pid = Number(line.slice("child ".length));
    await waitFor("the complaint", () =>
      it.messages().includes("on_complete: sh took longer than 0.3 s and was ended"),
    );
    await waitFor("the end of the child", async () => !(await lives(pid)));
  });

  test("the end of the daemon ends what runs, and does not start what waits", async () => {
    await using it = await fixture({ onComplete: `sh -c 'echo "pid $$"; exec sleep 600'`, atOnce: 1 });
    it.tell(ended());
    it.tell(ended());
    const line = await waitFor("its pid", () => it.messages().find((message) => message.startsWith("pid ")));
    await it.commands[Symbol.asyncDispose]();
    assert.equal(await lives(Number(line.slice(4))), false);
    assert.ok(it.messages().includes("on_complete: sh was ended: the daemon ends"));
    assert.ok(it.messages().includes("commands were not run any more: the daemon ends"));
    assert.equal(it.messages().filter((message) => message.startsWith("pid ")).length, 1);
  });

  test("no more than are allowed run at once", async () => {
    await using it = await fixture({
      onComplete: `sh -c 'mkdir "$OUT/one" || echo together; sleep 0.02; rmdir "$OUT/one"; echo done'`,
      atOnce: 1,
    });
    for (let count = 0; count < 8; count++) it.tell(ended());
    await waitFor("all of them", () => it.messages().filter((message) => message === "done").length === 8);
    assert.equal(it.messages().includes("together"), false);
  });

  test("a flood of output is cut, also where it has no lines", async () => {
    await using it = await fixture({ onComplete: `sh -c 'head -c 20000000 /dev/zero | tr "\\0" x; echo; seq 100000'` });
    it.tell(ended());
    await waitFor("its end", () => it.messages().some((message) => message.startsWith("on_complete: sh has ended")));
    const lines = it.messages();
    assert.equal(lines[0], `${"x".repeat(2000)}…`);
    assert.ok(lines.join("\n").length < 70_000);
    assert.match(lines.at(-2) ?? "", /the rest of the output is left out/);
  });

  test("what cannot be started or fails is named, and the next runs", async () => {
    await using it = await fixture({ onComplete: "/nowhere/at-all --x", onError: "sh -c 'exit 3'" });
    it.tell(ended());
    it.tell(ended({ status: "failed" }));
    const warned = await waitFor("both", () => {
      const lines = it.logger.lines.filter(({ level }) => level === "warn").map(({ message }) => message);
      return lines.length === 2 && lines.sort();
    });
    assert.match(warned[0] ?? "", /^on_complete: at-all could not be started: .*ENOENT/);
    assert.equal(warned[1], "on_error: sh exited with 3");
  });

  test("one that leaves something behind is not waited for", async () => {
    await using it = await fixture({ onComplete: `sh -c 'sleep 600 & echo "child $!"'` });
    it.tell(ended());
    await waitFor("its end", () => it.messages().some((message) => message.startsWith("on_complete: sh has ended")));
    const line = it.messages().find((message) => message.startsWith("child "));
    process.kill(Number(line?.slice("child ".length)));
  });
});
