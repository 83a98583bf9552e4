import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { failure } from "../../../src/daemon/core/errors.ts";
import { listText } from "../../../src/daemon/intake/list-decode.ts";

const TEXT = Array.from({ length: 3000 }, (_, n) => `http://h/${n}`).join("\n");

async function* chunks(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function decode(source: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of listText(source)) pieces.push(Uint8Array.from(piece));
  return Buffer.concat(pieces).toString();
}

describe("the text of a list", () => {
  for (const size of [1, 3, 1000, 1_000_000]) {
    test(`plain, in chunks of ${size}`, async () => assert.equal(await decode(chunks(Buffer.from(TEXT), size)), TEXT));
    test(`gzip, in chunks of ${size}`, async () => assert.equal(await decode(chunks(gzipSync(TEXT), size)), TEXT));
  }

  test("gzip of several members", async () => {
    const both = Buffer.concat([gzipSync("http://h/1\n"), gzipSync("http://h/2\n")]);
    assert.equal(await decode(chunks(both, 7)), "http://h/1\nhttp://h/2\n");
  });

  test("nothing, and less than a magic number", async () => {
    assert.equal(await decode(chunks(Buffer.alloc(0), 1)), "");
    assert.equal(await decode(chunks(Buffer.from("ab"), 1)), "ab");
  });

  for (const [name, bytes] of [
    ["UTF-16LE", Buffer.from("\ufeffhttp://h/1\n", "utf16le")],
    ["UTF-16BE", Buffer.from("\ufeffhttp://h/1\n", "utf16le").swap16()],
    ["UTF-16LE inside gzip", gzipSync(Buffer.from("\ufeffhttp://h/1\n", "utf16le"))],
    ["gzip that ends too early", gzipSync(TEXT).subarray(0, -20)],
    ["damaged gzip", gzipSync(TEXT).fill(0x55, 200, 260)],
    ["nothing but a magic number", Buffer.from([0x1f, 0x8b, 8, 0])],
  ] as const) {
    test(`${name} is refused`, async () => {
      await assert.rejects(decode(chunks(bytes, 100)), { code: "LIST_NOT_TEXT" });
    });
  }

  test("gzip that unpacks to far too much is refused before it is unpacked", async () => {
    const bomb = gzipSync(Buffer.alloc(200 * 1024 * 1024, 10), { level: 9 });
    let seen = 0;
    const drain = async () => {
      for await (const piece of listText(chunks(bomb, 4096))) seen += piece.length;
    };
    await assert.rejects(drain(), { code: "LIST_TOO_LARGE" });
    assert.ok(seen < 100 * 1024 * 1024, `${seen} bytes were unpacked`);
  });

  test("an error of the source stays what it is", async () => {
    async function* broken() {
      yield gzipSync(TEXT).subarray(0, 100);
      throw failure("IO_ERROR", "the disk");
    }
    await assert.rejects(decode(broken()), { code: "IO_ERROR" });
  });
});
