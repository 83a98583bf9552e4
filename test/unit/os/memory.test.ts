import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { MemoryProbe } from "../../../src/daemon/os/memory.ts";

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A machine made of files. */
function machine(files: Record<string, string>): MemoryProbe {
  const root = mkdtempSync(join(tmpdir(), "snatch-memory-"));
  folders.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return new MemoryProbe(root);
}

const KIB = 1024;
const MEMINFO = "MemTotal:        1000000 kB\nMemFree:          100000 kB\nMemAvailable:     600000 kB\n";

describe("memory", () => {
  test("of a machine without groups: what is available counts as free", () => {
    const probe = machine({ "proc/meminfo": MEMINFO });
    const { tightest, usedPercent, rss } = probe.read();
    assert.deepEqual(tightest, { name: "machine", limit: 1_000_000 * KIB, used: 400_000 * KIB });
    assert.equal(usedPercent, 40);
    assert.ok(rss > 1_000_000);
    assert.equal(probe.headroom(80), 400_000 * KIB);
    assert.equal(probe.headroom(30), 0);
  });

  test("of a group of version 2: the tightest of it and its parents, without droppable cache", () => {
    const probe = machine({
      "proc/meminfo": MEMINFO,
      "proc/self/cgroup": "0::/system.slice/snatchd.service\n",
      "sys/fs/cgroup/system.slice/memory.max": `${300_000 * KIB}\n`,
      "sys/fs/cgroup/system.slice/memory.high": "max\n",
      "sys/fs/cgroup/system.slice/memory.current": `${250_000 * KIB}\n`,
      "sys/fs/cgroup/system.slice/memory.stat": `anon 1\ninactive_file ${100_000 * KIB}\nactive_file 5\n`,
      "sys/fs/cgroup/system.slice/snatchd.service/memory.max": "max\n",
      "sys/fs/cgroup/system.slice/snatchd.service/memory.high": `${100_000 * KIB}\n`,
      "sys/fs/cgroup/system.slice/snatchd.service/memory.current": `${90_000 * KIB}\n`,
      "sys/fs/cgroup/system.slice/snatchd.service/memory.stat": "inactive_file 0\n",
    });
    assert.deepEqual(probe.levels().slice(1), [
      { name: "/system.slice/snatchd.service", limit: 100_000 * KIB, used: 90_000 * KIB },
      { name: "/system.slice", limit: 300_000 * KIB, used: 150_000 * KIB },
    ]);
    assert.equal(probe.read().tightest.name, "/system.slice/snatchd.service");
    assert.equal(probe.headroom(95), 5_000 * KIB);
  });

  test("of a group of version 1, seen from inside a container", () => {
    const probe = machine({
      "proc/meminfo": MEMINFO,
      "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/docker/abc\n",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": `${200_000 * KIB}\n`,
      "sys/fs/cgroup/memory/memory.usage_in_bytes": `${190_000 * KIB}\n`,
      "sys/fs/cgroup/memory/memory.stat": `inactive_file 7\ntotal_inactive_file ${90_000 * KIB}\n`,
    });
    assert.deepEqual(probe.read().tightest, { name: "/", limit: 200_000 * KIB, used: 100_000 * KIB });
  });

  test("a group without a limit, or with more than the machine has, limits nothing", () => {
    for (const limit of ["9223372036854771712", String(2_000_000 * KIB)]) {
      const probe = machine({
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "4:memory:/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": limit,
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "5",
      });
      assert.equal(probe.levels().length, 1, limit);
    }
  });

  test("where no file tells, Node does; and this machine can be read", () => {
    assert.equal(machine({}).read().tightest.limit, totalmem());
    const { usedPercent, tightest } = new MemoryProbe().read();
    assert.ok(usedPercent > 0 && usedPercent <= 100, `${usedPercent} % of ${tightest.name}`);
  });
});
