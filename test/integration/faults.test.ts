/**
 * Every origin of the catalogue, through the whole engine: the bytes under the final name, the session's end, its error code
 * with the exit code that follows from it, what stays beside the target, and what was asked on the wire.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { ERRORS } from "../../src/shared/errors.ts";
import { runFault } from "../support/fault-run.ts";
import { GROUPS } from "../support/origins/catalogue.ts";
import type { Fault } from "../support/origins/fault.ts";
import { DISK_FAULTS, type OtherFault, WAY_FAULTS } from "../support/origins/local.ts";

describe("the engine and the catalogue", { concurrency: 8 }, () => {
  for (const [group, faults] of Object.entries(GROUPS))
    for (const [name, fault] of Object.entries(faults) as [string, Fault][])
      test(`${group}: ${name}: ${fault.about}`, () => check(fault));
});

test("docs/FAULTS.md is what the catalogue says", () => {
  const script = ["scripts/faults-docs.ts", "--check"];
  const { status, stdout, stderr } = spawnSync(process.execPath, script, { encoding: "utf8" });
  assert.equal(status, 0, `run npm run docs: ${stdout}${stderr}`);
});

test("what is no origin's fault has its test elsewhere", () => {
  for (const [name, fault] of Object.entries<OtherFault>({ ...WAY_FAULTS, ...DISK_FAULTS })) {
    const text = readFileSync(fault.test, "utf8");
    // A test that names no such error cannot bring it about.
    if (fault.code && fault.test !== DISK_FAULTS.quota.test) assert.ok(text.includes(fault.code), name);
  }
});

async function check(fault: Fault): Promise<void> {
  const { outcome } = fault;
  const run = await runFault(fault);
  const { requests } = run.origin;
  const said = run.message ?? "";
  assert.deepEqual([run.status, run.code], [outcome.status, outcome.code], said);
  assert.equal(run.file, outcome.status === "completed" ? "right" : "none", "what is under the final name");
  assert.equal(run.version, outcome.status === "completed" ? (outcome.version ?? 1) : undefined, "the version");
  if (outcome.status === "completed") {
    assert.equal(run.name, outcome.name ?? "file.bin");
    assert.equal(run.unverified, outcome.unverified === true, "whether its length is verified");
  }
  if (outcome.status === "failed") {
    assert.equal(run.partBytes > 0, outcome.partial === true, `${run.partBytes} bytes are kept`);
    assert.notEqual(ERRORS[run.code ?? "INTERNAL"].exit, 1);
    assert.match(said, /127\.0\.0\.1|expected [0-9a-f]{32}/, "the message names the host, or the digest");
  }
  if (outcome.status === "completed") assert.equal(run.partBytes, 0, "no part file is left");
  assert.ok(run.proved >= (outcome.keeps ?? 0), `${run.proved} bytes are kept`);
  if (outcome.waits) {
    const [least, most] = outcome.waits;
    assert.ok((run.waitS ?? 0) >= least && (run.waitS ?? 0) <= most, `it waits ${run.waitS} s`);
  }
  assert.ok(requests.length <= outcome.requests, `${requests.length} requests`);
  assert.ok(
    requests.every(({ method }) => method === "GET"),
    "HEAD tells nothing that can be trusted",
  );
  for (const { at, headers } of requests)
    for (const field of fault.unsent?.[at] ?? []) assert.equal(headers[field], undefined, `${field} was told`);
}
