import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { status } from "@grpc/grpc-js";
import { failure } from "../../../src/daemon/core/errors.ts";
import { toServiceError } from "../../../src/daemon/rpc/status.ts";
import { ERRORS, type ErrorCode } from "../../../src/shared/errors.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { detailsOf } from "../../support/rpc-status.ts";

const send = (thrown: unknown, logger = new RecordLogger()) => toServiceError(thrown, logger, "/x/Y");

describe("errors on the wire", () => {
  test("every code of the table keeps its reason and gets its status", () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      const error = send(failure(code, "why"));
      assert.equal(error.code, status[ERRORS[code].grpc], code);
      const { info, status: whole } = detailsOf(error);
      assert.equal(info?.reason, code);
      assert.equal(info.domain, "snatch");
      assert.equal(whole.code, error.code);
    }
  });

  test("particulars and the time to wait arrive; secrets do not", () => {
    const metadata = { url: "https://u:geheim@example.org/?token=geheim", status: "503" };
    const { info, retry } = detailsOf(send(failure("HTTP_SERVER_ERROR", "503", { metadata, retryAfterMs: 1500 })));
    assert.equal(info?.metadata["status"], "503");
    assert.doesNotMatch(JSON.stringify(info), /geheim/);
    assert.deepEqual(retry?.retryDelay, { seconds: 1, nanos: 500_000_000 });
    assert.equal(detailsOf(send(failure("HTTP_SERVER_ERROR", "503"))).retry, undefined);
  });

  test("a wrong field is named as google.rpc.BadRequest too", () => {
    const { badRequest } = detailsOf(send(failure("INVALID_ARGUMENT", "limit: x", { metadata: { field: "limit" } })));
    assert.equal(badRequest?.fieldViolations[0]?.field, "limit");
  });

  test("what nobody expected is logged whole, and only its id leaves", () => {
    const logger = new RecordLogger();
    const thrown = new TypeError("reading 'x' of undefined at /home/me/secret.ts");
    const error = send(thrown, logger);
    assert.equal(error.code, status.INTERNAL);
    const incident = detailsOf(error).info?.metadata["incident"] ?? "";
    assert.match(incident, /^[0-9a-f-]{36}$/);
    assert.ok(error.details.includes(incident));
    assert.doesNotMatch(JSON.stringify([error.details, detailsOf(error)]), /secret|undefined at|TypeError/);
    assert.equal(logger.lines.length, 1);
    assert.equal(logger.lines[0]?.level, "error");
    assert.equal(logger.lines[0].fields["err"], thrown);
    assert.equal(logger.lines[0].fields["incident"], incident);
  });

  test("a message that would break the trailers is cut and made well-formed", () => {
    const error = send(failure("IO_ERROR", `\ud800${"ü".repeat(100_000)}`, { metadata: { a: "x".repeat(100_000) } }));
    assert.doesNotThrow(() => encodeURI(error.details));
    assert.ok(error.details.length < 2100);
    assert.ok(detailsOf(error).status.message.length < 2100);
    assert.ok((error.metadata.get("grpc-status-details-bin")[0] as Buffer).length < 10_000);
  });

  test("an error of the operating system keeps its meaning", () => {
    const error = send(Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" }));
    assert.equal(error.code, status.RESOURCE_EXHAUSTED);
    assert.equal(detailsOf(error).info?.reason, "DISK_FULL");
  });
});
