import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { describe, test } from "node:test";
import { crc32c } from "../../../src/daemon/core/crc32c.ts";
import type { DownloadError } from "../../../src/daemon/core/errors.ts";
import { storeCheck } from "../../../src/daemon/store/check.ts";
import { Store, type StoreOptions } from "../../../src/daemon/store/store.ts";
import { RecordLogger } from "../../support/record-logger.ts";

const ENTRIES = 2000;
const key = (index: number): string => String(index).padStart(6, "0");

/** A folder for one database, removed at the end. */
async function place(): Promise<AsyncDisposable & { directory: string; parent: string; copies(): Promise<string[]> }> {
  const parent = await mkdtemp(join(tmpdir(), "snatch-store-"));
  return {
    parent,
    directory: join(parent, "db"),
    copies: async () => (await readdir(parent)).filter((name) => name.startsWith("db.corrupt-")),
    [Symbol.asyncDispose]: () => rm(parent, { recursive: true }),
  };
}

async function opened(directory: string, options: Partial<StoreOptions> = {}): Promise<Store> {
  const store = new Store({ directory, logger: new RecordLogger(), ...options });
  await store.start();
  return store;
}

/** A database with entries in its log, and in a table too if it is opened twice. */
async function filled(directory: string, opens = 1): Promise<void> {
  for (let open = 0; open < opens; open++) {
    await using store = await opened(directory);
    for (let index = 0; index < ENTRIES; index += 50)
      await store.keyValue.write(
        Array.from({ length: 50 }, (_, place) => ({
          type: "put" as const,
          space: `s${open}`,
          key: key(index + place),
          value: Buffer.from(crypto.getRandomValues(new Uint8Array(64))).toString("hex"),
        })),
      );
  }
}

async function count(store: Store, space: string): Promise<number> {
  let found = 0;
  for await (const _ of store.keyValue.entries(space)) found++;
  return found;
}

async function fileOf(directory: string, pattern: RegExp): Promise<string> {
  const name = (await readdir(directory))
    .filter((entry) => pattern.test(entry))
    .sort()
    .at(-1);
  assert.ok(name, `${directory} has a file like ${pattern}`);
  return join(directory, name);
}

/** Flips a bit in the middle of a file. */
async function flip(path: string): Promise<void> {
  const bytes = await readFile(path);
  const middle = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 0x10, middle);
  await writeFile(path, bytes);
}

const failsWith = (code: string, message?: RegExp) => (error: DownloadError) => {
  assert.equal(error.code, code, error.message);
  if (message) assert.match(error.message, message);
  return true;
};

test("CRC-32C of the RFC's examples", () => {
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e);
  assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
});

describe("a store", () => {
  test("keeps what was written, gives its size, and frees room", async () => {
    await using where = await place();
    await filled(where.directory, 2);
    await using store = await opened(where.directory);
    assert.equal(await count(store, "s0"), ENTRIES);
    assert.equal(await count(store, "s1"), ENTRIES);
    await store.keyValue.write(
      Array.from({ length: ENTRIES }, (_, index) => ({ type: "del" as const, space: "s0", key: key(index) })),
    );
    await store.compact();
    assert.ok((await store.sizeBytes()) < ENTRIES * 300, `${await store.sizeBytes()} bytes`);
    assert.deepEqual(await where.copies(), []);
  });

  test("is refused to a second process, which leaves no trace", async () => {
    await using where = await place();
    await using _ = await opened(where.directory);
    const script = `
      import { Store } from ${JSON.stringify(import.meta.resolve("../../../src/daemon/store/store.ts"))};
      const logger = { error() {}, info() {} };
      const store = new Store({ directory: ${JSON.stringify(where.directory)}, logger });
      await store.start().then(() => process.send("opened"), (error) => process.send(error.code));
    `;
    const path = join(where.parent, "second.mjs");
    await writeFile(path, script);
    const child: ChildProcess = fork(path, { stdio: "inherit" });
    const exit = once(child, "exit");
    assert.deepEqual((await once(child, "message"))[0], "ALREADY_RUNNING");
    await exit;
    assert.deepEqual((await readdir(where.parent)).sort(), ["db", "second.mjs"]);
  });

  test("refuses work before its start and after its end", async () => {
    await using where = await place();
    const store = new Store({ directory: where.directory, logger: new RecordLogger() });
    const { keyValue } = store;
    await assert.rejects(keyValue.get("s0", "x"), failsWith("SHUTTING_DOWN"));
    await store.start();
    const last = keyValue.write([{ type: "put", space: "s0", key: "x", value: "1" }]);
    await store[Symbol.asyncDispose]();
    await last;
    await assert.rejects(keyValue.write([{ type: "del", space: "s0", key: "x" }]), failsWith("SHUTTING_DOWN"));
    await assert.rejects(keyValue.get("s0", "x"), failsWith("SHUTTING_DOWN"));
    await using again = await opened(where.directory);
    assert.equal(await again.keyValue.get("s0", "x"), "1");
  });
});

describe("versions", () => {
  test("an older database is brought up, once, step by step", async () => {
    await using where = await place();
    await filled(where.directory);
    const ran: string[] = [];
    const migrations = [
      async () => void ran.push("1→2"),
      async (keyValue: Store["keyValue"]) => {
        ran.push("2→3");
        await keyValue.write([{ type: "put", space: "s0", key: "new", value: "made by the migration" }]);
      },
    ];
    for (let open = 0; open < 2; open++) {
      await using store = await opened(where.directory, { migrations });
      assert.equal(await store.keyValue.get("s0", "new"), "made by the migration");
    }
    assert.deepEqual(ran, ["1→2", "2→3"]);
  });

  test("a migration that fails is run again at the next start", async () => {
    await using where = await place();
    await filled(where.directory);
    let attempts = 0;
    const migrations = [
      async () => {
        if (++attempts === 1) throw new Error("power cut");
      },
    ];
    await assert.rejects(opened(where.directory, { migrations }), /power cut/);
    await using _ = await opened(where.directory, { migrations });
    assert.equal(attempts, 2);
  });

  test("a newer database is refused and left as it is", async () => {
    await using where = await place();
    await using newer = await opened(where.directory, { migrations: [async () => undefined] });
    await newer.keyValue.write([{ type: "put", space: "s0", key: "x", value: "from the future" }]);
    await newer[Symbol.asyncDispose]();
    await assert.rejects(opened(where.directory), failsWith("STORE_NEWER", /version 2.*versions up to 1/));
    await using again = await opened(where.directory, { migrations: [async () => undefined] });
    assert.equal(await again.keyValue.get("s0", "x"), "from the future");
    assert.deepEqual(await where.copies(), []);
  });
});

describe("damage", () => {
  for (const [name, harm, least] of [
    ["a flipped bit in the log", async (d) => flip(await fileOf(d, /\.log$/)), ENTRIES + 1],
    ["a flipped bit in the manifest", async (d) => flip(await fileOf(d, /^MANIFEST/)), ENTRIES],
    ["a manifest cut short", async (d) => truncate(await fileOf(d, /^MANIFEST/), 20), ENTRIES],
    ["a manifest that is gone", async (d) => rm(await fileOf(d, /^MANIFEST/)), ENTRIES],
    ["a log cut short after a clean end", async (d) => truncate(await fileOf(d, /\.log$/), 1000), ENTRIES],
    ["an empty CURRENT", async (d) => truncate(join(d, "CURRENT"), 0), ENTRIES],
    ["a CURRENT of rubbish", async (d) => writeFile(join(d, "CURRENT"), "\u0000\u0001rubbish\n"), ENTRIES],
    ["a CURRENT that is gone", async (d) => rm(join(d, "CURRENT")), ENTRIES],
    ["a table that is gone", async (d) => rm(await fileOf(d, /\.ldb$/)), ENTRIES],
    ["a mark that it was met in use", async (d) => writeFile(join(d, "REPAIR"), ""), 2 * ENTRIES],
  ] satisfies ReadonlyArray<readonly [string, (directory: string) => Promise<void>, number]>) {
    test(`${name}: said, a copy kept, the rest recovered`, async () => {
      await using where = await place();
      await filled(where.directory, 2);
      await harm(where.directory);
      const logger = new RecordLogger();
      await using store = await opened(where.directory, { logger });
      const found = (await count(store, "s0")) + (await count(store, "s1"));
      assert.ok(found >= least, `${found} of ${2 * ENTRIES} entries were recovered`);
      const [copy = "none"] = await where.copies();
      const [line] = logger.lines.filter(({ level }) => level === "error");
      assert.match(line?.message ?? "", new RegExp(`damaged.*${copy}`));
      assert.ok((await readdir(join(where.parent, copy))).length > 0);
      assert.equal(store.keyValue.repairs, 1);
      await store.keyValue.write([{ type: "put", space: "s0", key: "after", value: "1" }], { sync: true });
      await store[Symbol.asyncDispose]();

      const quiet = new RecordLogger();
      await using again = await opened(where.directory, { logger: quiet });
      assert.deepEqual(quiet.lines, []);
      assert.equal(await again.keyValue.get("s0", "after"), "1");
      assert.equal(again.keyValue.repairs, 1);
      assert.equal((await where.copies()).length, 1);
    });
  }

  test("a log cut short is what a crash leaves: a beginning of what was written, nothing out of order", async () => {
    await using where = await place();
    await filled(where.directory);
    await rm(join(where.directory, "CLOSED"));
    const log = await fileOf(where.directory, /\.log$/);
    await truncate(log, (await readFile(log)).length - 1000);
    await using store = await opened(where.directory);
    const found = await count(store, "s0");
    assert.ok(found > ENTRIES / 2 && found < ENTRIES, `${found} of ${ENTRIES}`);
    assert.equal(found % 50, 0, "batches are whole");
    assert.deepEqual(await where.copies(), []);
  });

  for (const [name, harm] of [
    ["an emptied log", async (d) => truncate(await fileOf(d, /\.log$/), 0)],
    [
      "every file overwritten",
      async (d) => {
        for (const file of await readdir(d))
          await writeFile(join(d, file), crypto.getRandomValues(new Uint8Array(5000)));
      },
    ],
    [
      "only CURRENT left",
      async (d) => {
        for (const file of await readdir(d)) if (file !== "CURRENT") await rm(join(d, file));
      },
    ],
  ] satisfies ReadonlyArray<readonly [string, (directory: string) => Promise<void>]>) {
    test(`${name}: never begins empty; the copy is named, and made once`, async () => {
      await using where = await place();
      await filled(where.directory);
      await harm(where.directory);
      for (let start = 0; start < 2; start++) {
        await assert.rejects(
          opened(where.directory),
          failsWith("STORE_CORRUPT", /a copy is in .*db\.corrupt-\d{8}T\d{6}Z/),
        );
        assert.equal((await where.copies()).length, 1);
      }
      await rm(where.directory, { recursive: true });
      await using fresh = await opened(where.directory);
      assert.equal(await count(fresh, "s0"), 0);
    });
  }

  test("met while running: the caller is told, and the next start repairs", async () => {
    await using where = await place();
    await filled(where.directory, 2);
    const bytes = await readFile(await fileOf(where.directory, /\.ldb$/));
    await writeFile(await fileOf(where.directory, /\.ldb$/), bytes.fill(0xff, 0, bytes.length - 2000));
    const logger = new RecordLogger();
    const store = await opened(where.directory, { logger });
    await assert.rejects(count(store, "s0"), failsWith("STORE_CORRUPT", /repaired at the next start/));
    await store[Symbol.asyncDispose]();
    assert.deepEqual(await where.copies(), []);
    await using again = await opened(where.directory, { logger });
    assert.equal(await count(again, "s1"), ENTRIES);
    assert.equal((await where.copies()).length, 1);
  });
});

describe("the check", () => {
  const run = (directory: string) => storeCheck(directory).run(AbortSignal.timeout(5000));

  test("tells of no database, a sound one in use, and a damaged one", async () => {
    await using where = await place();
    assert.match((await run(where.directory)).message, /none yet/);
    await filled(where.directory);
    await using store = await opened(where.directory);
    await store.keyValue.write([{ type: "put", space: "s0", key: "x", value: "1" }]);
    const sound = await run(where.directory);
    assert.equal(sound.status, "ok", sound.message);
    await store[Symbol.asyncDispose]();
    await flip(await fileOf(where.directory, /^MANIFEST/));
    const damaged = await run(where.directory);
    assert.equal(damaged.status, "failed");
    assert.match(damaged.message, /MANIFEST-\d+ fails its checksum at byte/);
    assert.equal(basename(where.directory), "db");
  });

  test("does not throw where it may not look", async () => {
    await using where = await place();
    await mkdir(where.directory);
    await mkdir(join(where.directory, "CURRENT"));
    assert.equal((await run(where.directory)).status, "failed");
  });
});
