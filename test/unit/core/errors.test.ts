import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  asDownloadError,
  DownloadError,
  FileSystemError,
  failure,
  NetworkError,
  ResourceError,
  SystemResourceError,
} from "../../../src/daemon/core/errors.ts";

describe("errors", () => {
  for (const [code, type] of [
    ["INVALID_URL", DownloadError],
    ["TIMED_OUT", NetworkError],
    ["HTTP_NOT_FOUND", ResourceError],
    ["TARGET_EXISTS", FileSystemError],
    ["DISK_FULL", SystemResourceError],
  ] as const) {
    test(`${code} is a ${type.name}`, () => {
      const error = failure(code, "why");
      assert.ok(error instanceof type && error instanceof DownloadError);
      assert.equal(error.name, type.name);
      assert.equal(error.code, code);
    });
  }

  for (const [errno, code] of [
    ["ENOSPC", "DISK_FULL"],
    ["EDQUOT", "DISK_FULL"],
    ["EROFS", "READ_ONLY"],
    ["EACCES", "NOT_WRITABLE"],
    ["EMFILE", "TOO_MANY_OPEN_FILES"],
  ] as const) {
    test(`${errno} of the operating system means ${code}, and keeps its cause`, () => {
      const cause = Object.assign(new Error("write failed"), { code: errno });
      const error = asDownloadError(cause);
      assert.equal(error.code, code);
      assert.equal(error.cause, cause);
      assert.equal(error.metadata["errno"], errno);
    });
  }

  test("what nobody expected is INTERNAL, an error of ours stays itself", () => {
    assert.equal(asDownloadError("just a string").code, "INTERNAL");
    const ours = failure("PAUSED", "why");
    assert.equal(asDownloadError(ours), ours);
  });
});
