/** What is taken for an image: every kind by its first bytes, and no bomb, lie or cut header. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { checkImage, checkStatedType } from "../../../src/daemon/cache/image-check.ts";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { animation, bmp, gif, isobmff, jpeg, png, webp, webpLossy } from "../../support/images.ts";

const HOST = "origin.example";
const taken: Readonly<Record<string, readonly [bytes: Buffer, type: string]>> = {
  png: [png(40, 30), "image/png"],
  "animated png": [png(40, 30, 1200, [animation(3)]), "image/apng"],
  jpeg: [jpeg(40, 30), "image/jpeg"],
  gif: [gif(40, 30), "image/gif"],
  "animated gif": [gif(40, 30, [20, 10], 5), "image/gif"],
  webp: [webp(40, 30), "image/webp"],
  "webp with a canvas": [webp(40, 30, [40, 30]), "image/webp"],
  "lossy webp": [webpLossy(40, 30), "image/webp"],
  bmp: [bmp(40, 30), "image/bmp"],
  avif: [isobmff("avif", [40, 30]), "image/avif"],
  "avif of tiles": [isobmff("avif", [20, 30], [20, 30], [40, 30]), "image/avif"],
  heic: [isobmff("heic", [40, 30]), "image/heic"],
};

describe("taken, with the size that its header says", () => {
  for (const [name, [bytes, contentType]] of Object.entries(taken))
    test(name, async () => assert.deepEqual(await checkImage(bytes, HOST), { contentType, width: 40, height: 30 }));
});

const bombs: Readonly<Record<string, Buffer>> = {
  "jpeg of 60,000 x 60,000": jpeg(60_000, 60_000),
  "gif of 60,000 x 60,000": gif(60_000, 60_000),
  "webp of 16,384 x 16,384": webp(16_384, 16_384),
  "avif of 60,000 x 60,000": isobmff("avif", [60_000, 60_000]),
  "avif that hides it behind a small item": isobmff("avif", [10, 10], [60_000, 60_000]),
  "heic of 4,294,967,295 x 1": isobmff("heic", [0xffff_ffff, 1]),
  "gif of 3,000 pictures": gif(10, 10, [10, 10], 3000),
  "gif of 500 pictures of 4,000 x 4,000": gif(4000, 4000, [4000, 4000], 500),
  "animated png of 4,000,000,000 pictures": png(40, 30, 1200, [animation(4_000_000_000)]),
};

describe("refused as IMAGE_TOO_LARGE", () => {
  for (const [name, bytes] of Object.entries(bombs))
    test(name, async () => {
      assert.ok(bytes.length < 1_000_000, "it is small itself");
      await assert.rejects(checkImage(bytes, HOST), { code: "IMAGE_TOO_LARGE" });
    });
});

function longData(): Buffer {
  const bytes = png(16_000, 4000, 10);
  bytes.writeUInt32BE(0x7fff_ffff, bytes.indexOf("IDAT") - 4);
  return bytes;
}

const refused: Readonly<Record<string, readonly [bytes: Buffer, why: RegExp]>> = {
  "a png that cannot hold what it says": [png(16_000, 4000, 10), /cannot hold/],
  "a png of 60,000 x 60,000 with next to no data": [png(60_000, 60_000, 10), /cannot hold/],
  "a png whose data says that it is longer than the file": [longData(), /cannot hold/],
  "a bmp that cannot hold what it says": [bmp(5000, 5000, 100), /cannot hold/],
  "a gif whose picture is larger than it says": [gif(10, 10, [60_000, 60_000]), /60000 x 60000 on a canvas of 10 x 10/],
  "a webp whose picture is larger than its canvas": [
    webp(16_000, 16_000, [10, 10]),
    /16000 x 16000 on a canvas of 10 x 10/,
  ],
  "a jpeg with two frame headers": [jpeg(10, 10, 2), /two frame headers/],
  "a jpeg without one": [jpeg(10, 10, 0), /no frame header/],
  "an image without height": [jpeg(10, 0), /10 x 0/],
  "an svg": [Buffer.from('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script/></svg>'), /image|xml/],
  "a page": [Buffer.from("<!doctype html><title>Log in</title>"), /no image/],
  "a pdf": [Buffer.from("%PDF-1.7\n"), /application\/pdf/],
  nothing: [Buffer.alloc(0), /no image/],
};

describe("refused as NOT_AN_IMAGE", () => {
  for (const [name, [bytes, message]] of Object.entries(refused))
    test(name, () => assert.rejects(checkImage(bytes, HOST), { code: "NOT_AN_IMAGE", message }));
});

test("the stated type has to be that of an image, if there is one", () => {
  for (const type of ["image/png", "IMAGE/JPEG; q=1", "application/octet-stream", undefined, "garbage"])
    assert.doesNotThrow(() => checkStatedType(type, HOST), type);
  for (const type of ["text/html", "image/svg+xml", "application/json; charset=utf-8", "video/mp4"])
    assert.throws(() => checkStatedType(type, HOST), { code: "NOT_AN_IMAGE" }, type);
});

test("an image that was cut or changed anywhere is taken, or refused with a clear error, at once", async () => {
  const all = Object.values(taken).map(([bytes]) => bytes);
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...all),
      fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 8 }),
      fc.nat(4000),
      async (bytes, changes, length) => {
        const broken = Buffer.from(bytes.subarray(0, length));
        for (const [at, value] of changes) if (at < broken.length) broken[at] = value;
        try {
          const { width, height } = await checkImage(broken, HOST);
          assert.ok(width >= 1 && height >= 1 && width * height <= 64_000_000);
        } catch (error) {
          assert.ok(error instanceof DownloadError, String(error));
          assert.match(error.code, /^(NOT_AN_IMAGE|IMAGE_TOO_LARGE)$/);
        }
      },
    ),
    { numRuns: 400 },
  );
});
