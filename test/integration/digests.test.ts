/** Digests of origins, requests and checksum files, against real servers: right ones let the file through, wrong ones do not. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { libraryHome, sha256Of } from "../support/library.ts";
import { type Call, type Origin, resourceOf, serve } from "../support/origins/origin.ts";
import { waitFor } from "../support/wait.ts";

const KIB = 1024;
const small = randomBytes(20 * KIB);
/** Of many chunks. */
const large = randomBytes(1024 * KIB + 5);
const other = randomBytes(10);

const base64 = (algorithm: string, bytes: Buffer): string => createHash(algorithm).update(bytes).digest("base64");
const hex = (algorithm: string, bytes: Buffer): string => createHash(algorithm).update(bytes).digest("hex");

/** Fields that are about the whole, with the digest of `bytes` in them. */
const OF_WHOLE: Readonly<Record<string, (bytes: Buffer) => Record<string, string>>> = {
  "Repr-Digest sha-256": (bytes) => ({ "repr-digest": `sha-256=:${base64("sha256", bytes)}:` }),
  "Repr-Digest sha-512": (bytes) => ({ "repr-digest": `sha-512=:${base64("sha512", bytes)}:` }),
  "Digest SHA-256": (bytes) => ({ digest: `SHA-256=${base64("sha256", bytes)}` }),
  "Digest SHA": (bytes) => ({ digest: `sha=${base64("sha1", bytes)}` }),
  "x-goog-hash md5": (bytes) => ({ "x-goog-hash": `md5=${base64("md5", bytes)}` }),
};

/** Fields that are about what a message carries. */
const OF_CONTENT: Readonly<Record<string, (bytes: Buffer) => Record<string, string>>> = {
  "Content-Digest sha-256": (bytes) => ({ "content-digest": `sha-256=:${base64("sha256", bytes)}:` }),
  "Content-MD5": (bytes) => ({ "content-md5": base64("md5", bytes) }),
};

describe("a digest that the origin sends", () => {
  for (const [name, field] of Object.entries({ ...OF_WHOLE, ...OF_CONTENT }))
    test(`${name}: right, the file is there; wrong, it is not`, async () => {
      await using home = await libraryHome();
      const manager = home.manager();
      await using right = await serve(resourceOf(small), (call) => call.answer(field(small)));
      const [good] = await manager.download([right.url]);
      assert.equal(good?.status, "completed", good?.error?.message);
      await using wrong = await serve(resourceOf(small), (call) => call.answer(field(other)), "/wrong.bin");
      const [bad] = await manager.download([wrong.url]);
      const { code, metadata = {}, message = "" } = bad?.error ?? {};
      assert.equal(code, "CHECKSUM_MISMATCH");
      const node = metadata["algorithm"]?.replace(/^sha-/, "sha") ?? "";
      assert.equal(metadata["found"], hex(node, small));
      assert.equal(metadata["expected"], hex(node, other));
      for (const value of [metadata["found"], metadata["expected"], metadata["kept"]])
        assert.ok(message.includes(value ?? "?"), message);
      assert.deepEqual(await readFile(metadata["kept"] ?? ""), small);
      assert.equal(dirname(metadata["kept"] ?? ""), home.downloads);
      assert.equal((await home.files()).includes("wrong.bin"), false);
    });

  for (const [name, field] of Object.entries(OF_WHOLE))
    test(`${name}: of a file that comes in parts`, async () => {
      await using home = await libraryHome();
      const manager = home.manager();
      await using right = await serve(resourceOf(large), (call) => call.answer(field(large)));
      const [good] = await manager.download([right.url]);
      assert.equal(good?.status, "completed", good?.error?.message);
      await using wrong = await serve(resourceOf(large), (call) => call.answer(field(other)));
      const [bad] = await manager.download([wrong.url]);
      assert.equal(bad?.error?.code, "CHECKSUM_MISMATCH");
    });

  for (const [name, field] of Object.entries(OF_CONTENT))
    test(`${name} of a part is about the part`, async () => {
      await using home = await libraryHome();
      await using origin = await serve(resourceOf(large), (call) => {
        const { start, end } = call.seen.range ?? { start: 0, end: large.length };
        call.answer(field(large.subarray(start, end)));
      });
      const [result] = await home.manager().download([origin.url]);
      assert.equal(result?.status, "completed", result?.error?.message);
    });

  test("of what is decoded says nothing about the file", async () => {
    await using home = await libraryHome();
    const coded = gzipSync(small);
    await using origin = await serve(resourceOf(small), (call) =>
      call.send(
        200,
        { "content-encoding": "gzip", "content-length": coded.length, ...OF_WHOLE["Digest SHA"]?.(coded) },
        coded,
      ),
    );
    const [result] = await home.manager().download([origin.url]);
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.deepEqual(await readFile(result?.path ?? ""), small);
  });

  test("is still known after a restart", async () => {
    await using home = await libraryHome();
    let first = true;
    await using origin = await serve(resourceOf(large), (call) => {
      if (first) return half(call);
      call.answer();
    });
    const before = home.manager({ connections_per_download: 1 });
    const [session] = await before.enqueue([origin.url]);
    const id = session?.id ?? "";
    await waitFor("some of it", async () => ((await before.sessions.get(id))?.progress.downloadedBytes ?? 0) > 0);
    first = false;
    await before[Symbol.asyncDispose]();
    const after = home.manager();
    await after.start();
    const ended = await waitFor("its end", async () => {
      const now = await after.sessions.get(id);
      return now?.status === "failed" ? now : undefined;
    });
    assert.equal(ended.error?.code, "CHECKSUM_MISMATCH", ended.error?.message);
    assert.equal(ended.error?.metadata?.["from"], "Repr-Digest");
  });

  /** The first half of a range, with a digest that is wrong; then nothing more. */
  function half({ seen, response, state }: Call): void {
    const { start, end } = seen.range ?? { start: 0, end: large.length };
    response.writeHead(206, {
      etag: state.resource.etag,
      "content-length": end - start,
      "content-range": `bytes ${start}-${end - 1}/${large.length}`,
      ...OF_WHOLE["Repr-Digest sha-256"]?.(other),
    });
    if (start === 0) response.end(large.subarray(start, end));
    else response.flushHeaders();
  }
});

describe("a large file's digest", () => {
  const bytes = randomBytes(24 * 1024 * KIB);

  for (const [what, connections] of [
    ["one connection", 1],
    ["several", 4],
  ] as const)
    test(`is made while it comes over ${what}: right and wrong`, async () => {
      await using home = await libraryHome();
      const manager = home.manager({ connections_per_download: connections, chunk_size: 1024 * KIB });
      await using origin = await serve(resourceOf(bytes), (call) => call.answer());
      for (const [algorithm, value, status] of [
        ["sha-512", hex("sha512", bytes), "completed"],
        ["sha-256", hex("sha256", other), "failed"],
      ] as const) {
        const [result] = await manager.download([origin.url], { checksum: { algorithm, value }, force: true });
        assert.equal(result?.status, status, result?.error?.message);
        if (status === "failed") assert.equal(result?.error?.metadata["found"], hex("sha256", bytes));
      }
    });
});

describe("quarantine", () => {
  const wrong = { algorithm: "sha-256", value: "0".repeat(64) } as const;

  test("a retry begins anew, and leaves what was kept", async () => {
    await using home = await libraryHome();
    const manager = home.manager();
    let resource = resourceOf(large, "1");
    await using origin = await serve(resource, (call) => {
      call.state.resource = resource;
      call.answer();
    });
    const [first] = await manager.download([origin.url], { checksum: wrong });
    resource = resourceOf(small, "2");
    const [second] = await manager.download([origin.url], { checksum: wrong });
    assert.equal(first?.sessionId, second?.sessionId);
    const kept = [first, second].map((result) => result?.error?.metadata["kept"] ?? "");
    assert.deepEqual(await readFile(kept[0] ?? ""), large);
    assert.deepEqual(await readFile(kept[1] ?? ""), small);
    assert.match(basename(kept[1] ?? ""), /^file\.bin\.[0-9a-f]{8}\.2\.quarantine$/);
    assert.equal((await home.files()).length, 2, "no part file beside them");
  });

  test("the target's own digest of several kinds: the strongest counts, all that was asked for too", async () => {
    await using home = await libraryHome();
    await using origin = await serve(resourceOf(small), (call) =>
      call.answer({ ...OF_WHOLE["Repr-Digest sha-256"]?.(other), ...OF_CONTENT["Content-MD5"]?.(small) }),
    );
    const value = hex("md5", small);
    const manager = home.manager();
    const [result] = await manager.download([origin.url], { checksum: { algorithm: "md5", value } });
    assert.equal(result?.error?.metadata["algorithm"], "sha-256");
    const strong = { algorithm: "sha-512", value: hex("sha512", small) } as const;
    const [stronger] = await manager.download([origin.url], { checksum: strong });
    assert.equal(stronger?.status, "completed", "what was asked for is stronger than what the origin says");
  });
});

describe("a bad mirror", () => {
  const checksum = { algorithm: "sha-256", value: sha256Of(large) } as const;
  /** One byte is wrong, where the comparison of a piece does not look. */
  const rotten = Buffer.from(large);
  rotten.writeUInt8(rotten.readUInt8(10) ^ 1, 10);

  test("does not fail the download: the others are asked one by one", async () => {
    await using home = await libraryHome();
    await using bad = await serve(resourceOf(rotten), (call) => call.answer());
    await using gone = await serve(resourceOf(large), (call) => call.send(404, {}));
    await using good = await serve(resourceOf(large, "2"), (call) => call.answer());
    const [result] = await home.manager().download([[bad.url, gone.url, good.url]], { checksum });
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.deepEqual(await readFile(result?.path ?? ""), large);
    assert.deepEqual(await home.files(), ["file.bin"], "what was wrong is gone");
    assert.equal(bad.requests.filter(({ range }) => range?.start === 0).length, 1, "it was not asked again");
  });

  test("that cannot be told from the good one: both are asked alone", async () => {
    await using home = await libraryHome();
    const slowly = (call: Call): void => void setTimeout(() => call.answer(), 20);
    await using good = await serve(resourceOf(large), slowly);
    await using bad = await serve(resourceOf(rotten, "2"), (call) => {
      // It was in time for the first chunk only.
      if (call.seen.range?.start === 0 || call.seen.range?.start !== undefined) call.answer();
      else call.send(500, {});
    });
    const [result] = await home.manager().download([[bad.url, good.url]], { checksum });
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.deepEqual(await readFile(result?.path ?? ""), large);
  });

  test("and another: it fails, and one of both findings is kept", async () => {
    await using home = await libraryHome();
    await using one = await serve(resourceOf(rotten), (call) => call.answer());
    await using two = await serve(resourceOf(rotten, "2"), (call) => call.answer());
    const [result] = await home.manager().download([[one.url, two.url]], { checksum });
    assert.equal(result?.error?.code, "CHECKSUM_MISMATCH");
    assert.deepEqual(await home.files(), [basename(result?.error?.metadata["kept"] ?? "")]);
  });
});

describe("mirrors that the origin names (RFC 6249)", () => {
  /** Answers the range slowly enough for more connections to help. */
  function drip({ seen, response, state }: Call, fields: Readonly<Record<string, string>>): void {
    const { bytes, etag } = state.resource;
    const { start, end } = seen.range ?? { start: 0, end: bytes.length };
    const range = { "content-length": end - start, "content-range": `bytes ${start}-${end - 1}/${bytes.length}` };
    response.writeHead(206, { etag, ...range, ...fields });
    let at = start;
    const timer = setInterval(() => {
      response.write(bytes.subarray(at, Math.min(at + 32 * KIB, end)));
      at += 32 * KIB;
      if (at < end) return;
      clearInterval(timer);
      response.end();
    }, 20);
    response.on("close", () => clearInterval(timer));
  }

  test("join in when a piece of theirs is the same", async () => {
    await using home = await libraryHome();
    const bytes = randomBytes(8 * 1024 * KIB);
    const slowly = (call: Call): void => drip(call, {});
    await using mirror = await serve(resourceOf(bytes, "2"), slowly);
    await using foreign = await serve(resourceOf(randomBytes(bytes.length), "3"), slowly);
    await using origin = await serve(resourceOf(bytes), (call) => {
      const link = `<${foreign.url}>; rel=duplicate; pri=1, <${mirror.url}>; rel=duplicate; pri=2, </x.asc>; rel=describedby`;
      drip(call, { link, ...OF_WHOLE["Digest SHA-256"]?.(bytes) });
    });
    const manager = home.manager({ connections_per_download: 4 });
    const [result] = await manager.download([origin.url], { headers: [["X-Mine", "1"]] });
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.deepEqual(await readFile(result?.path ?? ""), bytes);
    assert.ok(
      mirror.requests.length > 1,
      `${foreign.requests.length} requests to the foreign one, ${mirror.requests.length} to the mirror, ${origin.requests.length}`,
    );
    assert.equal(foreign.requests.length, 1, "one look was enough");
    assert.ok(mirror.requests.every(({ headers }) => headers["x-mine"] === undefined));
  });
});

describe("a Metalink that the origin names (RFC 6249)", () => {
  /** An origin whose own bytes are wrong, with a description that knows what they have to be. */
  async function described(theirs: Buffer, size = large.length): Promise<{ origin: Origin; mirror: Origin }> {
    const mirror = await serve(resourceOf(theirs, "2"), (call) => call.answer());
    const rotten = Buffer.from(large).fill(0, 5, 50);
    const text =
      `<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="file.bin"><size>${size}</size>` +
      `<hash type="sha-256">${sha256Of(large)}</hash><url>${mirror.url}</url></file><file name="other"/></metalink>`;
    const origin = await serve(resourceOf(rotten), (call) => {
      if (call.seen.path === "/x.meta4") call.send(200, { "content-length": text.length }, text);
      else call.answer({ link: "</x.meta4>; rel=describedby; type=application/metalink4+xml" });
    });
    return { origin, mirror };
  }

  test("in a redirect: whoever sends to mirrors knows what they have to have", async () => {
    await using home = await libraryHome();
    const { origin, mirror } = await described(large);
    await using _origin = origin;
    await using _mirror = mirror;
    await using bad = await serve(resourceOf(Buffer.from(large).fill(7, 3, 30), "3"), (call) => call.answer());
    await using redirector = await serve(resourceOf(small), (call) => {
      const link = `<${origin.base}/x.meta4>; rel=describedby; type="application/metalink4+xml"`;
      call.send(302, { location: bad.url, link });
    });
    const [result] = await home.manager().download([redirector.url]);
    assert.equal(result?.status, "completed", result?.error?.message);
    assert.deepEqual(await readFile(result?.path ?? ""), large);
  });

  for (const [what, theirs, size, code] of [
    ["its place has the right bytes", large, large.length, undefined],
    ["no place has the right bytes", Buffer.from(large).fill(1, 9, 90), large.length, "CHECKSUM_MISMATCH"],
    ["it is about something else: not heeded", large, 7, undefined],
  ] as const)
    test(what, async () => {
      await using home = await libraryHome();
      const { origin, mirror } = await described(theirs, size);
      await using _origin = origin;
      await using _mirror = mirror;
      const [result] = await home.manager().download([origin.url]);
      assert.equal(result?.error?.code, code, result?.error?.message);
      if (size === 7) assert.equal(mirror.requests.length, 0);
      else if (code === undefined) assert.deepEqual(await readFile(result?.path ?? ""), large);
    });
});

describe("a checksum file", () => {
  /** An origin with files by path; all others are not there. */
  function site(files: Readonly<Record<string, string | Buffer>>) {
    return serve(
      resourceOf(small),
      (call) => {
        const found = files[call.seen.path];
        if (call.seen.path.startsWith("/dir/file.bin") && found === undefined && !/sha\d+$/.test(call.seen.path))
          return call.answer();
        if (found === undefined) return call.send(404, {});
        call.send(200, { "content-length": Buffer.byteLength(found) }, found);
      },
      "/dir/file.bin?key=1",
    );
  }
  const line = `${sha256Of(small)}  ./file.bin\n`;
  const wrongLine = `${sha256Of(other)} *file.bin\n`;

  for (const [what, files, code] of [
    ["file.bin.sha256", { "/dir/file.bin.sha256?key=1": line }, undefined],
    ["file.bin.sha256 with a digest alone", { "/dir/file.bin.sha256?key=1": sha256Of(small) }, undefined],
    ["SHA256SUMS", { "/dir/SHA256SUMS?key=1": `${wrongLine.replace("file", "else")}${line}` }, undefined],
    ["sha256sum.txt", { "/dir/sha256sum.txt?key=1": `SHA256 (file.bin) = ${sha256Of(small)}\n` }, undefined],
    ["one that is wrong", { "/dir/SHA256SUMS?key=1": wrongLine }, "CHECKSUM_MISMATCH"],
    ["one that is a page, and no other", { "/dir/file.bin.sha256?key=1": "<html>" }, "CHECKSUM_NOT_FOUND"],
    ["none", {}, "CHECKSUM_NOT_FOUND"],
    ["one without end", { "/dir/file.bin.sha256?key=1": Buffer.alloc(1024 * KIB + 1, 32) }, "PROTOCOL_ERROR"],
  ] as const)
    test(`auto: ${what}`, async () => {
      await using home = await libraryHome();
      await using origin = await site(files);
      const [result] = await home.manager().download([origin.url], { checksumFile: "auto" });
      assert.equal(result?.error?.code, code, result?.error?.message);
      assert.equal(result?.status, code === undefined ? "completed" : "failed");
      if (code === undefined) assert.deepEqual(await readFile(result?.path ?? ""), small);
    });

  test("what was fetched without one is not there already for who wants one", async () => {
    await using home = await libraryHome();
    await using origin = await site({ "/dir/file.bin.sha256?key=1": line });
    const manager = home.manager();
    await manager.download([origin.url]);
    const [compared] = await manager.download([origin.url], { checksumFile: "auto" });
    const [again] = await manager.download([origin.url], { checksumFile: "auto" });
    assert.deepEqual([compared?.already, again?.already], [false, true], compared?.error?.message);
  });

  test("by its name in the same folder; header fields stay with their origin", async () => {
    await using home = await libraryHome();
    await using origin = await site({ "/dir/sums": line });
    await using elsewhere = await site({ "/sums": line });
    const headers = [["X-Mine", "1"]] as const;
    const manager = home.manager();
    for (const checksumFile of ["sums", `${elsewhere.base}/sums`]) {
      const [result] = await manager.download([origin.url], { checksumFile, headers, force: true });
      assert.equal(result?.status, "completed", result?.error?.message);
    }
    assert.equal(origin.requests.find(({ path }) => path === "/dir/sums")?.headers["x-mine"], "1");
    assert.equal(elsewhere.requests[0]?.headers["x-mine"], undefined);
  });
});
