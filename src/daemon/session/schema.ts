/**
 * The session schema of an export, strictly: an import is input from anywhere. The types of the codec come from it, so
 * that what is written is what is accepted.
 */
import * as z from "zod";
import { ERRORS } from "../../shared/errors.ts";
import type { PeerPath } from "../core/peers.ts";
import { aboutSchema } from "./about-codec.ts";

const text = (most: number) => z.string().max(most);
/** No control characters: NUL above all, which no path and no header may hold. */
const line = (most: number) => text(most).regex(/^[^\p{Cc}]*$/u, "holds control characters");
export const count = z.int().min(0);
export const instant = z.iso.datetime({ precision: 3 });
const path = line(4096).startsWith("/", "is not an absolute path");
export const address = line(16_384).refine((value) => URL.canParse(value), "is not a URL");
export const uuid = z.uuid().regex(/^[^A-F]*$/, "is not in lower case");
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "is not a SHA-256 in lower-case hex");
const name = line(200);

/** {@link PeerPath}, as a list. */
const PATHS = [
  "lan",
  "ipv6",
  "direct",
  "mapped",
  "punched",
  "ice",
  "relay-udp",
  "relay-tcp",
] as const satisfies readonly PeerPath[];

const DIGEST_LENGTH = { "sha-256": 64, "sha-512": 128, "sha-1": 40, md5: 32 } as const;

export const headers = z
  .array(z.tuple([z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}$/, "is not a field name"), line(8192)]))
  .max(100);

const checksum = z
  .strictObject({
    algorithm: z.enum(["sha-256", "sha-512", "sha-1", "md5"]),
    value: z.string().regex(/^[0-9a-f]+$/, "is not lower-case hex"),
  })
  .refine(
    ({ algorithm, value }) => value.length === DIGEST_LENGTH[algorithm],
    "has the wrong length for its algorithm",
  );

const options = z.strictObject({
  directory: path.optional(),
  output: path.optional(),
  checksum: checksum.optional(),
  checksum_file: z.union([z.literal("auto"), address]).optional(),
  size: count.optional(),
  follow_metalink: z.boolean().optional(),
  headers: headers.optional(),
  connections: z.int().min(1).max(1000).optional(),
  limit: count.optional(),
  max_retries: count.optional(),
  retry_delay: z.number().min(0).max(31_536_000).optional(),
  timeout: z.number().min(0).max(31_536_000).optional(),
  if_exists: z.enum(["rename", "skip", "overwrite"]).optional(),
  force: z.boolean().optional(),
  format: line(2000).optional(),
  quality: name.optional(),
  media: z.boolean().optional(),
  template: line(4096).optional(),
  subtitles: z.strictObject({ languages: z.array(name).max(100), embed: z.boolean() }).optional(),
  record_for: z.number().min(0).max(31_536_000).optional(),
  newest: z.int().min(1).optional(),
  tags: z.boolean().optional(),
  audio: z.array(line(2000)).max(100).optional(),
  named_by: address.optional(),
  about: aboutSchema.optional(),
  depth: count.optional(),
  remote: z.literal(true).optional(),
  peers: z.array(line(300)).max(100).optional(),
  share: z.boolean().optional(),
});

export const digests = z
  .array(
    z.strictObject({
      algorithm: z.enum(["sha-512", "sha-256", "sha-1", "md5", "crc32c"]),
      value: z.string().regex(/^[0-9a-f]{8,128}$/, "is not lower-case hex"),
      from: line(8192),
    }),
  )
  .max(20);

export const resource = z.strictObject({
  final_url: address,
  size: count.optional(),
  ranges: z.boolean(),
  etag: line(8192).optional(),
  last_modified: name.optional(),
  strong_validator: line(8192).optional(),
  content_type: line(8192).optional(),
  content_encoding: line(8192).optional(),
  filename: text(4096).optional(),
  digests: digests.optional(),
  mirrors: z.array(address).max(100).optional(),
  length_unverified: z.boolean().optional(),
  mode: z.int().min(0).max(0o177777).optional(),
  answer: z
    .strictObject({ at: instant, redirects: z.array(address).max(200).optional(), certificate: sha256.optional() })
    .optional(),
});

const part = z.strictObject({
  path,
  chunk_size: z.int().min(1),
  epoch: count,
  sources: z.array(address).max(200).optional(),
  tracks: z
    .array(z.strictObject({ path, epoch: count, identity: sha256 }))
    .max(100)
    .optional(),
});

/** What is known of bytes, but for their chunks. */
const manifestHead = z.strictObject({
  version: z.literal(1),
  size: count,
  chunk_size: z.int().min(1),
  root: sha256,
});

export const file = z.strictObject({ path, size: count, mtime_ms: z.number(), ino: z.number().min(0) });

const error = z.strictObject({
  code: z.enum(Object.keys(ERRORS) as [keyof typeof ERRORS]),
  message: text(16_384),
  retryable: z.boolean(),
  metadata: z.record(name, text(16_384)).optional(),
  time: instant,
});

/** One session, in version 1 of the schema. */
export const sessionSchema = z.strictObject({
  version: z.literal(1),
  session_id: uuid,
  sequence: z.int().min(0),
  batch_id: line(200).optional(),
  // A code is a secret that is kept elsewhere: no export holds one.
  url: address.refine((value) => !/^snatch:(?!share\/[0-9a-f]{32}(\/|$))/i.test(value), "holds a code"),
  mirrors: z.array(address).max(100),
  status: z.enum(["queued", "waiting", "active", "paused", "completed", "failed", "cancelled"]),
  stage: z.enum(["resolve", "plan", "fetch", "verify", "process", "store", "publish"]).optional(),
  created_at: instant,
  updated_at: instant,
  completed_at: instant.optional(),
  attempt: count,
  next_attempt_at: instant.optional(),
  progress: z.strictObject({
    downloaded_bytes: count,
    total_bytes: count.nullable(),
    percentage: z.number().min(0).max(100),
    segments: z.strictObject({ done: count, total: count.optional() }).optional(),
  }),
  metadata: z.strictObject({ title: text(4096).optional(), format: line(2000).optional(), quality: name.optional() }),
  options,
  resource: resource.optional(),
  part: part.optional(),
  target: path.optional(),
  file: file.optional(),
  manifest_root: sha256.optional(),
  digests: digests.optional(),
  source_manifest: manifestHead.optional(),
  expansion: z.strictObject({ batch_id: line(200), count }).optional(),
  detour: z.strictObject({ url: address, headers }).optional(),
  via: z.array(z.enum(PATHS)).max(PATHS.length).optional(),
  share_id: z
    .string()
    .regex(/^[0-9a-f]{32}$/, "is not the id of a share")
    .optional(),
  already: z.boolean().optional(),
  error_info: error.nullable(),
});

/** Deeply readonly, with optional fields that are absent, never undefined. */
export type Plain<T> = T extends readonly unknown[]
  ? { readonly [K in keyof T]: Plain<T[K]> }
  : T extends object
    ? { readonly [K in keyof T]: undefined extends T[K] ? Plain<Exclude<T[K], undefined>> : Plain<T[K]> }
    : T;

/** The schema's types, as the codec writes and reads them. */
export type PlainRecord = Plain<z.infer<typeof sessionSchema>>;
export type PlainOptions = Plain<z.infer<typeof options>>;
export type PlainResource = Plain<z.infer<typeof resource>>;
export type PlainPart = Plain<z.infer<typeof part>>;
export type PlainFile = Plain<z.infer<typeof file>>;
export type PlainError = Plain<z.infer<typeof error>>;
