/** The wire's reader of heads: what it takes leaves no doubt, and all else is odd. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isPlainRequest } from "../../../src/daemon/http/wire-connection.ts";
import { readHead } from "../../../src/daemon/http/wire-head.ts";

const read = (text: string) => readHead(Buffer.from(text, "latin1"));
const PLAIN = 'HTTP/1.1 206 Partial Content\r\nETag: "v1"\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/10\r\n\r\n';
const EARLY = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
const withFields = (...fields: string[]) => PLAIN.replace("\r\n\r\n", `\r\n${fields.join("\r\n")}\r\n\r\n`);

describe("a plain head", () => {
  test("is read, with the bytes behind it left alone", () => {
    const head = read(`${PLAIN}hello`);
    if (typeof head === "string") assert.fail(head);
    assert.equal(head.status, 206);
    assert.equal(head.size, PLAIN.length);
    assert.equal(head.length, 5);
    assert.deepEqual(
      [...head.headers],
      [
        ["etag", '"v1"'],
        ["content-length", "5"],
        ["content-range", "bytes 0-4/10"],
      ],
    );
  });

  test("of which less is here is waited for, at every cut", () => {
    const bytes = Buffer.from(EARLY + PLAIN);
    for (let cut = 0; cut < bytes.length; cut++) assert.equal(readHead(bytes.subarray(0, cut)), "more", `${cut}`);
    const head = readHead(bytes);
    assert.ok(typeof head === "object" && head.size === bytes.length);
  });

  for (const [fields, keepMs] of [
    ["Connection: close", 0],
    ["Connection: Keep-Alive, Close", 0],
    ["Connection: closed", undefined],
    ["Keep-Alive: timeout=5, max=100", 3000],
    ["Keep-Alive: max=100, timeout=1", 0],
    ["Keep-Alive: timeout=999999", 60_000],
    ["Keep-Alive: soon", undefined],
    ["X: y", undefined],
  ] as const)
    test(`${fields}: kept for ${keepMs} ms`, () => {
      const head = read(withFields(fields));
      assert.ok(typeof head === "object");
      assert.equal(head.keepMs, keepMs);
    });
});

describe("odd is", () => {
  const odd: Record<string, string> = {
    "another version": PLAIN.replace("1.1", "1.0"),
    "another protocol": "SSH-2.0-OpenSSH_9.2\r\n",
    "no reason's space": PLAIN.replace(" Partial Content", ""),
    "an interim answer but early hints": `HTTP/1.1 100 Continue\r\n\r\n${PLAIN}`,
    "204": PLAIN.replace("206", "204"),
    "304": PLAIN.replace("206", "304"),
    "no length": PLAIN.replace(/Content-Length.*\r\n/, ""),
    "two lengths": withFields("Content-Length: 5"),
    "two lengths in one": PLAIN.replace("h: 5", "h: 5, 5"),
    "a signed length": PLAIN.replace("h: 5", "h: +5"),
    "an endless length": PLAIN.replace("h: 5", "h: 1234567890123456"),
    "a transfer coding": withFields("Transfer-Encoding: chunked"),
    "a folded line": withFields("X: y", " z"),
    "a space before the colon": withFields("X : y"),
    "a space behind the value": withFields("X: y "),
    "a field without a name": withFields(": y"),
    "a field without a colon": withFields("X"),
    "a control character": withFields("X: y\x00"),
    "a lone CR": withFields("X: y\rZ: z"),
    "a lone LF": withFields("X: y\nZ: z"),
    "lone LFs": PLAIN.replaceAll("\r\n", "\n"),
    "two ETags": withFields('ETag: "v2"'),
    "two Content-Ranges": withFields("Content-Range: bytes 5-9/10"),
  };
  for (const [name, text] of Object.entries(odd))
    test(name, () =>
      assert.ok(["odd", "more"].includes(read(`${text}`) as string) && read(`${text}\r\n\r\n`) === "odd"),
    );
});

test("a changed byte or two never makes another body of a plain head", () => {
  const base = Buffer.from(withFields("Connection: keep-alive", "Date: Mon, 06 Jan 2020 10:00:00 GMT"));
  const change = fc.record({
    at: fc.nat(base.length - 1),
    byte: fc.nat(255),
    how: fc.constantFrom("set", "put", "cut"),
  });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      const bytes = [...base];
      for (const { at, byte, how } of changes)
        bytes.splice(at, how === "put" ? 0 : 1, ...(how === "cut" ? [] : [byte]));
      const head = readHead(Buffer.from(bytes));
      if (typeof head === "string") return;
      const text = Buffer.from(bytes).toString("latin1");
      const [, length] = /^content-length:[ \t]*(\d+)$/im.exec(text) ?? [];
      assert.equal(head.length, Number(length));
      assert.equal(text.slice(head.size - 4, head.size), "\r\n\r\n");
      assert.equal(text.indexOf("\r\n\r\n"), head.size - 4);
      assert.ok(!/transfer-encoding\s*:/i.test(text.slice(0, head.size)));
    }),
    { numRuns: 3000 },
  );
});

describe("a request is written as it is", () => {
  const plain = { path: "/a?b=c", headers: ["Range", "bytes=0-9", "x", ""] };
  test("if there is nothing special about it", () => assert.ok(isPlainRequest(plain)));
  for (const [name, request] of Object.entries({
    "a field of the connection": { ...plain, headers: ["Connection", "close"] },
    "another host": { ...plain, headers: ["HOST", "x"] },
    "a body's field": { ...plain, headers: ["Content-Length", "0"] },
    "a name that is none": { ...plain, headers: ["a b", "c"] },
    "a smuggled line": { ...plain, headers: ["a", "b\r\nc: d"] },
    "a character that is not Latin 1": { ...plain, headers: ["a", "ł"] },
    "a path with a space": { ...plain, path: "/a b" },
    "a whole URL": { ...plain, path: "http://x/" },
  }))
    test(`but not with ${name}`, () => assert.ok(!isPlainRequest(request)));
});
