import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isSecretHeader, redactUrl } from "../../../src/shared/redact.ts";

describe("what is shown has no secrets", () => {
  for (const [url, shown] of [
    ["https://example.org/a", "https://example.org/a"],
    ["https://u:hunter2@example.org/a", "https://u:***@example.org/a"],
    ["https://h/a?token=abc&x=1", "https://h/a?token=***&x=1"],
    ["https://h/a?X-Amz-Signature=abc&X-Amz-Credential=d", "https://h/a?X-Amz-Signature=***&X-Amz-Credential=***"],
    ["https://h/a?sig=1&sig=2", "https://h/a?sig=***"],
    ["https://h/a?%74oken=abc", "https://h/a?token=***"],
    ["https://h/a?to\tken=abc", "https://h/a?token=***"],
    ["https://h/a?key=abc&monkey=1", "https://h/a?key=***&monkey=1"],
    ["https://h/a?page=2#part", "https://h/a?page=2#part"],
    ["no url?token=1", "no url?token=1"],
  ] as const) {
    test(url, () => assert.equal(redactUrl(url), shown));
  }

  test("a password never comes through, wherever it stands", () => {
    const secret = "S3cretS3cret";
    const place = fc.constantFrom(
      (name: string) => `https://${name || "u"}:${secret}@h/p`,
      (name: string) => `https://h/p?${name}&access_token=${secret}`,
      (name: string) => `https://u@h/?a=${name}&API_KEY=${secret}#x`,
    );
    fc.assert(
      fc.property(place, fc.stringMatching(/^[a-z0-9]{0,8}$/), (make, name) => {
        assert.ok(!redactUrl(make(name)).includes(secret));
      }),
    );
  });

  test("header fields by their names", () => {
    for (const name of ["Authorization", "cookie", "Set-Cookie", "Proxy-Authorization", "X-Api-Key", "x-auth-token"])
      assert.ok(isSecretHeader(name), name);
    for (const name of ["Accept", "Referer", "User-Agent", "X-Cookies-Allowed"]) assert.ok(!isSecretHeader(name), name);
  });
});
