/**
 * How much memory there is and how much of it is taken: of the machine, and of every control group that this process is
 * in, since a container or a unit may be allowed less than the machine has. The tightest of them decides.
 *
 * A group's page cache that can be dropped (inactive_file) does not count as taken: a download fills it all the time.
 */
import { readFileSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import { join } from "node:path";

/** One place with a limit: the machine, or a control group. All in bytes. */
export interface MemoryLevel {
  /** "machine", or the group's path. */
  readonly name: string;
  readonly limit: number;
  readonly used: number;
}

/** Memory as it is now. */
export interface MemoryState {
  /** The level with the largest part in use. */
  readonly tightest: MemoryLevel;
  /** Of that level's limit, 0 to 100. */
  readonly usedPercent: number;
  /** Resident bytes of this process. */
  readonly rss: number;
}

/** A limit above this is none: cgroup v1 says "no limit" as 2^63 - 4096 (memory cgroup documentation of Linux). */
const NO_LIMIT = 2 ** 60;

/** Reads memory. Nothing is kept between two readings. */
export class MemoryProbe {
  readonly #root: string;

  /** @param root - where proc/ and sys/ are, for tests */
  constructor(root = "/") {
    this.#root = root;
  }

  /** Reads everything anew. */
  read(): MemoryState {
    const tightest = this.levels().reduce((worst, level) => (share(level) > share(worst) ? level : worst));
    return { tightest, usedPercent: share(tightest) * 100, rss: process.memoryUsage.rss() };
  }

  /** Bytes that may still be taken before any level is fuller than `limitPercent`; never negative. */
  headroom(limitPercent: number): number {
    const room = this.levels().map(({ limit, used }) => (limit * limitPercent) / 100 - used);
    return Math.max(0, Math.floor(Math.min(...room)));
  }

  /** The machine first, then the groups, innermost first. */
  levels(): readonly [MemoryLevel, ...MemoryLevel[]] {
    const machine = this.#machine();
    // A group may be given more than the machine has; then it limits nothing.
    return [machine, ...this.#groups().filter(({ limit }) => limit < machine.limit)];
  }

  #machine(): MemoryLevel {
    const info = this.#read("proc/meminfo");
    const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(info ?? "")?.[1]) * 1024;
    const limit = field("MemTotal");
    const available = field("MemAvailable");
    if (limit > 0 && available >= 0) return { name: "machine", limit, used: Math.max(0, limit - available) };
    return { name: "machine", limit: totalmem(), used: totalmem() - freemem() };
  }

  #groups(): MemoryLevel[] {
    const levels: MemoryLevel[] = [];
    for (const line of this.#read("proc/self/cgroup")?.split("\n") ?? []) {
      const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
      if (path === undefined || controllers === undefined) continue;
      const version = controllers === "" ? V2 : controllers.split(",").includes("memory") ? V1 : undefined;
      if (version === undefined) continue;
      // In a container the path may be the host's: then only the mount's root can be read, and that is the container's.
      for (let group = path; ; group = group.slice(0, group.lastIndexOf("/")) || "/") {
        const level = this.#group(version, group);
        if (level !== undefined) levels.push(level);
        if (group === "/") break;
      }
    }
    return levels;
  }

  #group(version: typeof V1 | typeof V2, group: string): MemoryLevel | undefined {
    const read = (name: string) => this.#read(join(version.mount, group, name));
    const limit = Math.min(...version.limits.map((name) => Number(read(name)?.trim() || Number.NaN)).filter(isLimit));
    const current = Number(read(version.usage));
    if (!isLimit(limit) || !Number.isFinite(current)) return undefined;
    const dropable = Number(new RegExp(`^${version.inactive} (\\d+)`, "m").exec(read("memory.stat") ?? "")?.[1] ?? 0);
    return { name: group, limit, used: Math.max(0, current - dropable) };
  }

  #read(path: string): string | undefined {
    try {
      return readFileSync(join(this.#root, path), "utf8");
    } catch {
      return undefined;
    }
  }
}

const V2 = {
  mount: "sys/fs/cgroup",
  limits: ["memory.max", "memory.high"],
  usage: "memory.current",
  inactive: "inactive_file",
} as const;
const V1 = {
  mount: "sys/fs/cgroup/memory",
  limits: ["memory.limit_in_bytes"],
  usage: "memory.usage_in_bytes",
  inactive: "total_inactive_file",
} as const;

/** "max" of version 2 is no number, a group that is not there gives none. */
function isLimit(value: number): boolean {
  return value > 0 && value < NO_LIMIT;
}

function share({ limit, used }: MemoryLevel): number {
  return used / limit;
}
