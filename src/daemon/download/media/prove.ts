/**
 * Stage 4 for media: what came is what the playlist said. No digest tells that; a key that was wrong, a page in place of a
 * segment and a list that was cut short show in the beginning of a track and in its length.
 */
import { createHash } from "node:crypto";
import { failure } from "../../core/errors.ts";
import type { MediaInfo } from "../../core/media-tool.ts";
import type { TrackContainer } from "../../core/resolved.ts";
import type { Run } from "../run.ts";
import type { FetchedTrack } from "./tracks.ts";

/** Demuxers: what a track is was said by its playlist, and nothing else is to be tried. */
export const DEMUXER: Partial<Record<TrackContainer, string>> = {
  ts: "mpegts",
  fmp4: "mp4",
  mp4: "mp4",
  webm: "matroska",
  aac: "aac",
  mp3: "mp3",
  ac3: "ac3",
};

/** Share, and seconds, by which a track may be shorter than its segments say together. */
const TOLERANCE = { share: 0.1, seconds: 3 };

/** Bytes of a packet of MPEG-TS. */
const TS_PACKET = 188;

/** Boxes that files and segments of MP4 begin with. */
const BOXES = new Set(["ftyp", "styp", "moof", "moov", "sidx", "emsg", "prft", "free", "skip"]);

/**
 * Looks at the tracks that are no subtitles.
 *
 * @param tool - FFmpeg is there: then each is opened by it
 * @returns what is in them, in their order; empty without FFmpeg
 * @throws ResourceError MEDIA_INVALID
 */
export async function proveTracks(
  run: Run,
  fetched: readonly FetchedTrack[],
  tool: boolean,
): Promise<readonly MediaInfo[]> {
  const found: MediaInfo[] = [];
  for (const each of fetched) {
    const { track, path } = each;
    if (track.kind === "subtitle") continue;
    if (each.size === 0) throw failure("MEDIA_INVALID", `the ${track.kind} track is empty`);
    await proveBeginning(run, each);
    if (!tool || !run.engine.media) continue;
    const format = DEMUXER[track.container];
    const info = await run.engine.media.probe(path, { ...(format && { format }), signal: run.signal });
    proveLength(run, each, info);
    found.push(info);
  }
  return found;
}

/** What was asked of a file that something else is made of. @throws ResourceError CHECKSUM_MISMATCH, SIZE_MISMATCH */
export async function proveDigest(run: Run, only: FetchedTrack | undefined): Promise<void> {
  const { checksum, size } = run.session.options;
  if (!only) return;
  if (size !== undefined && only.size !== size)
    throw failure("SIZE_MISMATCH", `what came has ${only.size} bytes, expected ${size}`);
  if (!checksum) return;
  const hash = createHash(checksum.algorithm.replace("-", ""));
  for await (const bytes of run.engine.files.readStream(only.path)) {
    run.signal.throwIfAborted();
    hash.update(bytes);
  }
  const found = hash.digest("hex");
  if (found !== checksum.value)
    throw failure("CHECKSUM_MISMATCH", `what came has the ${checksum.algorithm} ${found}, expected ${checksum.value}`, {
      metadata: { expected: checksum.value, found },
    });
  run.digests = [{ ...checksum, from: "the request" }];
}

async function proveBeginning(run: Run, { track: { container, kind }, path }: FetchedTrack): Promise<void> {
  const file = await run.engine.files.openRead(path);
  try {
    const bytes = Buffer.from(await file.read(0, TS_PACKET * 2));
    const ts = bytes[0] === 0x47 && (bytes.length <= TS_PACKET || bytes[TS_PACKET] === 0x47);
    const mp4 = BOXES.has(bytes.toString("latin1", 4, 8));
    const right = container === "ts" ? ts : container === "fmp4" || container === "mp4" ? mp4 : true;
    if (!right)
      throw failure(
        "MEDIA_INVALID",
        `the ${kind} track does not begin like ${container}: the key is wrong, or something else was sent`,
      );
  } finally {
    await file.close();
  }
}

/** Playlists are not exact, so that only what is much too short is said. */
function proveLength(run: Run, { track }: FetchedTrack, { durationSeconds }: MediaInfo): void {
  if (durationSeconds === undefined || track.more) return;
  const wanted = track.segments.reduce((sum, segment) => sum + (segment.durationSeconds ?? 0), 0);
  if (durationSeconds >= wanted * (1 - TOLERANCE.share) - TOLERANCE.seconds) return;
  run.logger.warn(
    { seconds: durationSeconds, listed: wanted },
    "the track is shorter than its playlist says; nothing that the playlist names is missing",
  );
}
