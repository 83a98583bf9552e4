import assert from "node:assert/strict";
import { test } from "node:test";
import type { Write } from "../../../src/daemon/core/ports/key-value.ts";
import { GroupCommit } from "../../../src/daemon/store/group-commit.ts";

const put = (key: string): Write => ({ type: "put", space: "s", key, value: "" });

/** A disk that writes when it is told to. */
class Disk {
  readonly written: { readonly keys: string; readonly sync: boolean }[] = [];
  readonly #waiting: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  readonly commits = new GroupCommit((writes, sync) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.written.push({ keys: writes.map(({ key }) => key).join(""), sync });
    this.#waiting.push({ resolve, reject });
    return promise;
  });

  async finish(error?: Error): Promise<void> {
    await settled();
    const next = this.#waiting.shift();
    assert.ok(next, "a write is under way");
    if (error) next.reject(error);
    else next.resolve();
    await settled();
  }
}

const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

test("calls of one tick go together, those that come meanwhile in the next write, synced if one of them wants it", async () => {
  const disk = new Disk();
  const first = [disk.commits.write([put("a")], false), disk.commits.write([put("b"), put("c")], false)];
  await settled();
  const next = [
    disk.commits.write([put("d")], false),
    disk.commits.write([], false),
    disk.commits.write([put("e")], true),
  ];
  await disk.finish();
  await Promise.all(first);
  await disk.finish();
  await Promise.all(next);
  assert.deepEqual(disk.written, [
    { keys: "abc", sync: false },
    { keys: "de", sync: true },
  ]);
});

test("a failed write takes those with it that wait behind it, and none that come later", async () => {
  const disk = new Disk();
  const failing = [disk.commits.write([put("a")], true)];
  await settled();
  failing.push(disk.commits.write([put("b")], true), disk.commits.write([], false));
  const outcomes = Promise.allSettled(failing);
  await disk.finish(new Error("no room"));
  for (const outcome of await outcomes) assert.equal(outcome.status, "rejected");
  const later = disk.commits.write([put("c")], false);
  await disk.finish();
  await later;
  assert.deepEqual(
    disk.written.map(({ keys }) => keys),
    ["a", "c"],
  );
});

test("a write is bounded, but for a single larger call", async () => {
  const disk = new Disk();
  const large = Array.from({ length: 30_000 }, (_, i) => put(String.fromCodePoint(0x4e00 + i)));
  const calls = [
    disk.commits.write(large, false),
    disk.commits.write(large.slice(0, 15_000), false),
    disk.commits.write([put("y")], false),
  ];
  await disk.finish();
  await disk.finish();
  await Promise.all(calls);
  assert.deepEqual(
    disk.written.map(({ keys }) => keys.length),
    [30_000, 15_001],
  );
  await disk.commits.idle();
});

test("of calls that go together each key is written once, with what the last of them says", async () => {
  const groups: (readonly Write[])[] = [];
  const commits = new GroupCommit(async (writes) => void groups.push(writes));
  const count = (value: string): Write => ({ type: "put", space: "meta", key: "count", value });
  await Promise.all([
    commits.write([put("a"), count("1"), { type: "del", space: "other", key: "a" }], false),
    commits.write([{ type: "del", space: "s", key: "a" }, count("2"), put("b")], false),
    commits.write([count("3"), { type: "put", space: "other", key: "a", value: "new" }], false),
  ]);
  assert.equal(groups.length, 1);
  const found = new Map(groups[0]?.map((write) => [`${write.space} ${write.key}`, write]));
  assert.equal(groups[0]?.length, found.size);
  assert.deepEqual(found.get("s a"), { type: "del", space: "s", key: "a" });
  assert.deepEqual(found.get("meta count"), count("3"));
  assert.deepEqual(found.get("other a"), { type: "put", space: "other", key: "a", value: "new" });
  assert.deepEqual(found.get("s b"), put("b"));
});
