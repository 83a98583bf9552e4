/**
 * The house rule, enforced: an import stays in its own room or points to a lower floor.
 * A room is the first folder below src/daemon/, and all of src/client/, src/shared/ or src/gen/.
 * Works on source text, so it needs no compiler API (TypeScript 7 ships none).
 */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path/posix";
import { test } from "node:test";

/** First match wins. Every other folder below src/daemon/ is an adapter. */
const FLOORS: ReadonlyArray<readonly [prefix: string, floor: number]> = [
  ["src/gen/", 0],
  ["src/shared/", 1],
  ["src/client/", 2],
  ["src/daemon/core/", 2],
  ["src/daemon/download/", 4],
  ["src/daemon/rpc/", 5],
  ["src/daemon/assemble.ts", 5],
  ["src/daemon/assemble-cache.ts", 4],
  ["src/daemon/assemble-audio.ts", 4],
  ["src/daemon/assemble-media.ts", 4],
  ["src/daemon/assemble-peers.ts", 4],
  ["src/daemon/library-init.ts", 5],
  ["src/daemon/library-cache.ts", 6],
  ["src/daemon/library-audio.ts", 6],
  ["src/daemon/room-checks.ts", 6],
  ["src/daemon/daemon.ts", 7],
  ["src/daemon/library.ts", 7],
  ["src/daemon/library-p2p.ts", 8],
  ["src/index.ts", 9],
  ["src/daemon/cli.ts", 8],
  ["src/daemon/main.ts", 9],
  ["src/daemon/", 3],
];
const GRPC_ROOMS = /^src\/(gen|client|shared|daemon\/rpc)\//;

const floor = (file: string) => FLOORS.find(([prefix]) => file.startsWith(prefix))?.[1] ?? Number.NaN;
const room = (file: string) => /^src\/(daemon\/[^/]+|client|shared|gen)\//.exec(file)?.[0] ?? file;
const isClient = (file: string) => file.startsWith("src/client/");

/** Every import that breaks the rule, as "from -> to". `files` maps a path from the project's root to its text. */
export function violations(files: ReadonlyMap<string, string>): string[] {
  const found: string[] = [];
  for (const [from, text] of files) {
    for (const [, spec = ""] of text.matchAll(/\b(?:from|import)\s*\(?\s*["']([^"']+)["']/g)) {
      if (spec.startsWith(".")) {
        const to = normalize(join(dirname(from), spec));
        const leavesClient = isClient(from) && floor(to) > 1 && !isClient(to);
        const entersClient = !isClient(from) && isClient(to);
        if (room(from) !== room(to) && (leavesClient || entersClient || !(floor(to) < floor(from))))
          found.push(`${from} -> ${to}`);
      } else {
        if (spec.startsWith("@grpc/") && !GRPC_ROOMS.test(from)) found.push(`${from} -> ${spec}`);
        if (from.startsWith("src/daemon/core/") && !spec.startsWith("node:")) found.push(`${from} -> ${spec}`);
      }
    }
  }
  return found;
}

test("imports stay in their room or point down", () => {
  const files = new Map(globSync("src/**/*.ts").map((file) => [file, readFileSync(file, "utf8")]));
  assert.ok(files.size > 0, "no sources found");
  assert.deepEqual(violations(files), []);
});

for (const [from, text, broken] of [
  ["src/daemon/core/plan.ts", 'import "../store/database.ts";', true],
  ["src/daemon/cache/cache.ts", 'import "../store/database.ts";', true],
  ["src/client/main.ts", 'await import("../daemon/daemon.ts")', true],
  ["src/daemon/daemon.ts", 'import "../client/output.ts";', true],
  ["src/daemon/audio/normalize.ts", 'import { status } from "@grpc/grpc-js";', true],
  ["src/daemon/hooks/webhooks.ts", 'import "../http/client.ts";', true],
  ["src/daemon/plugins/plugins.ts", 'import type { DownloadManager } from "../download/manager.ts";', true],
  ["src/daemon/p2p/nat/stun.ts", 'import "../identity.ts";', false],
  ["src/client/program.ts", 'import "./commands/add.ts";', false],
  ["src/client/connect.ts", 'import "../gen/snatch/v1/session.ts";', false],
  ["src/daemon/rpc/convert.ts", 'import "../core/session.ts";', false],
  ["src/index.ts", 'export * from "./daemon/download/manager.ts";', false],
] as const) {
  test(`${from}: ${text} ${broken ? "is refused" : "is allowed"}`, () => {
    assert.equal(violations(new Map([[from, text]])).length, broken ? 1 : 0);
  });
}
