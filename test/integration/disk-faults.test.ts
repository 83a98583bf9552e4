/** Disks that fill up, become read-only or break under a download of the real daemon; the same scenario as at full size. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { asDownloadError } from "../../src/daemon/core/errors.ts";
import { needsFailingMount } from "../support/failing-mount.ts";
import { DISK_FAULTS } from "../support/origins/local.ts";
import { type DiskFaultOptions, diskFault } from "../support/scenarios/disk-full.ts";
import { needsMount } from "../support/temporary-folder.ts";
import { missing } from "../support/tools.ts";

const MIB = 1024 * 1024;
const nginx = missing("nginx");

/** Faults that are brought about by a real disk; the rest has a test of its own. */
const REAL: readonly DiskFaultOptions["fault"][] = ["disk-full", "read-only", "io-error"];

describe("a download and its disk", { concurrency: REAL.length }, () => {
  for (const fault of REAL) {
    const skip = nginx || (fault === "io-error" ? needsFailingMount.skip : needsMount.skip);
    test(`${fault}: ${DISK_FAULTS[fault].about}`, { skip }, async () => {
      const { ok, values } = await diskFault({ fault, size: 6 * MIB, chunkSize: MIB / 2, rate: MIB / 2 });
      assert.ok(ok, JSON.stringify(values, undefined, 2));
    });
  }

  test(`quota: ${DISK_FAULTS.quota.about}`, () => {
    // A quota does not hold for root: what the system says is all that can be brought about here.
    const { code } = asDownloadError(Object.assign(new Error("disk quota exceeded"), { code: "EDQUOT" }));
    assert.equal(code, DISK_FAULTS.quota.code);
  });
});
