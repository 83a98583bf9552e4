/** Digests that are not those of the bytes, or not of the whole, and digests that must not be taken for one. */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { completed, type FaultTable, failed } from "./fault.ts";
import type { Call } from "./origin.ts";

const OTHER = Buffer.from("other bytes");
const SMALL = Buffer.from("one chunk is enough for it");

const base64 = (algorithm: string, bytes: Buffer): string => createHash(algorithm).update(bytes).digest("base64");
const field = (algorithm: string, bytes: Buffer): string =>
  `${algorithm.replace("sha", "sha-")}=:${base64(algorithm, bytes)}:`;

/** The bytes of the range that is asked for. */
function asked({ seen, state: { resource } }: Call): Buffer {
  return resource.bytes.subarray(seen.range?.start ?? 0, seen.range?.end);
}

const quarantined = failed("CHECKSUM_MISMATCH", 20, { partial: true });

export const digestFaults = {
  "repr-digest-wrong": {
    about: "sends a Repr-Digest that its bytes do not have",
    snatch: "Puts the bytes into quarantine beside the target, and says both digests.",
    outcome: quarantined,
    source: "RFC 9530 §3",
    answer: (call) => call.answer({ "repr-digest": field("sha256", OTHER) }),
  },
  "repr-digest-one-wrong": {
    about: "sends a Repr-Digest of two algorithms, the stronger of which is wrong",
    snatch: "Compares the strongest.",
    outcome: quarantined,
    source: "RFC 9530 §3",
    answer: (call) =>
      call.answer({ "repr-digest": `${field("md5", call.state.resource.bytes)}, ${field("sha512", OTHER)}` }),
  },
  "repr-digest-malformed": {
    about: "sends a Repr-Digest that is no structured field",
    snatch: "Leaves the field alone, as every malformed one.",
    outcome: completed(20),
    source: "RFC 9651 §4.2",
    answer: (call) => call.answer({ "repr-digest": `sha-256=${base64("sha256", OTHER)}` }),
  },
  "content-digest-wrong": {
    about: "sends a Content-Digest, of the whole in one answer, that its bytes do not have",
    snatch: "Puts the bytes into quarantine beside the target, and says both digests.",
    outcome: quarantined,
    source: "RFC 9530 §2",
    bytes: SMALL,
    answer: (call) => call.answer({ "content-digest": field("sha512", OTHER) }),
  },
  "content-digest-of-parts": {
    about: "sends with each part the Content-Digest and Content-MD5 of that part",
    snatch: "Does not take them for those of the whole.",
    outcome: completed(20),
    source: "RFC 9530 §2",
    answer: (call) =>
      call.answer({ "content-digest": field("sha256", asked(call)), "content-md5": base64("md5", asked(call)) }),
  },
  "digest-wrong": {
    about: "sends a Digest of old that its bytes do not have",
    snatch: "Puts the bytes into quarantine beside the target, and says both digests.",
    outcome: quarantined,
    source: "RFC 3230 §4.3.2",
    answer: (call) => call.answer({ digest: `SHA-256=${base64("sha256", OTHER)},unixsum=1` }),
  },
  "content-md5-wrong": {
    about: "sends a Content-MD5, of the whole in one answer, that its bytes do not have",
    snatch: "Puts the bytes into quarantine beside the target, and says both digests.",
    outcome: quarantined,
    source: "RFC 2616 §14.15",
    bytes: SMALL,
    answer: (call) => call.answer({ "content-md5": base64("md5", OTHER) }),
  },
  "goog-hash-wrong": {
    about: "sends an x-goog-hash with a CRC-32C alone, which its bytes do not have",
    snatch: "Puts the bytes into quarantine beside the target, and says both digests.",
    outcome: quarantined,
    answer: (call) => call.answer({ "x-goog-hash": "crc32c=AAAAAA==" }),
  },
  "goog-hash-of-stored": {
    about: "sends the x-goog-hash of the compressed bytes that it keeps, with those that it has decoded",
    snatch: "Does not take it for that of what comes.",
    outcome: completed(20),
    answer: (call) =>
      call.answer({
        "x-goog-hash": `md5=${base64("md5", gzipSync(call.state.resource.bytes))}`,
        "x-goog-stored-content-encoding": "gzip",
      }),
  },
  "digests-contradict": {
    about: "sends two fields with different digests of one algorithm",
    snatch: "Believes neither: nobody can tell which one is right.",
    outcome: completed(20),
    answer: (call) =>
      call.answer({
        "repr-digest": field("sha256", OTHER),
        digest: `sha-256=${base64("sha256", call.state.resource.bytes)}`,
      }),
  },
  "etag-like-md5": {
    about: "sends an ETag that looks like the MD5 of other bytes",
    snatch: "An ETag is no digest, whatever it looks like.",
    outcome: completed(20),
    source: "RFC 9110 §8.8.3",
    bytes: SMALL,
    answer: (call) => call.answer({ etag: `"${createHash("md5").update(OTHER).digest("hex")}"` }),
  },
  "mirror-digest-missed": {
    about: "has other bytes than its own Repr-Digest says, while a mirror has the right ones",
    snatch: "Drops what came, and asks every other place for all of it, alone.",
    outcome: completed(30, { name: "file.bin" }),
    mirror: true,
    answer: (call) => {
      const { bytes, etag } = call.state.resource;
      const fields = { "repr-digest": field("sha256", bytes) };
      if (call.seen.at === "elsewhere") return call.answer(fields);
      const { start, end } = call.seen.range ?? { start: 0, end: bytes.length };
      const rotten = Buffer.from(bytes).fill(0, 10, 20).subarray(start, end);
      const range = call.seen.range && { "content-range": `bytes ${start}-${end - 1}/${bytes.length}` };
      call.send(range ? 206 : 200, { etag, "content-length": rotten.length, ...fields, ...range }, rotten);
    },
  },
} satisfies FaultTable;
