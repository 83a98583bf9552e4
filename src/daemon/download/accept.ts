/**
 * "Have we got this?", asked before anything is queued. The archive is keyed by the URL and the place it was asked for:
 * what is unfinished goes on, what is finished and unchanged on disk is there already, everything else is fetched.
 */
import { archiveKeyOf, archiveText } from "../core/archive.ts";
import { asDownloadError } from "../core/errors.ts";
import { chunkCount } from "../core/manifest.ts";
import type { Accepted, AcceptOptions } from "../core/ports/intake.ts";
import type { DownloadOptions, DownloadRequest, Session } from "../core/session.ts";
import type { EngineParts } from "./run.ts";
import { share } from "./share.ts";

/** Peers that are named in all, however often they are added. */
const MOST_PEERS = 16;

/** What is asked before anything is queued. */
type AcceptParts = Pick<EngineParts, "store" | "files" | "sharer" | "logger" | "clock">;

/** Queues checked requests as one durable batch; answers in their order. */
export async function acceptRequests(
  parts: AcceptParts,
  requests: readonly DownloadRequest[],
  { batchId, with: more }: AcceptOptions,
): Promise<readonly Accepted[]> {
  const { store } = parts;
  const keys = requests.map(archiveKeyOf);
  const known = await store.archived(keys);
  const sessions = new Map<string, Session>();
  const fresh = new Map<string, DownloadRequest>();
  const adopted = new Map<string, Session>();
  for (const [at, request] of requests.entries()) {
    const name = archiveText(keys[at] ?? archiveKeyOf(request));
    if (sessions.has(name) || fresh.has(name)) continue;
    const former = request.options.force ? undefined : known[at];
    const useful = former && (await reuse(parts, former, request));
    if (useful) adopted.set(name, useful);
    else fresh.set(name, request);
    if (useful) sessions.set(name, useful);
  }
  const names = [...fresh.keys()];
  const answer = (created: readonly Session[]): Accepted[] => {
    const made = new Map(names.map((name, at) => [name, created[at]]));
    return keys.flatMap((key) => {
      const name = archiveText(key);
      const session = made.get(name) ?? sessions.get(name);
      return session ? [{ session, created: made.has(name) }] : [];
    });
  };
  const created = await store.create([...fresh.values()], {
    ...(batchId !== undefined && { batchId }),
    adopt: [...adopted.values()].map((session) => session.id),
    ...(more && { with: (made: readonly Session[]) => more(answer(made)) }),
  });
  return answer(created);
}

/** The former session if it can serve the request, brought back on its way if need be. */
async function reuse(parts: AcceptParts, former: Session, request: DownloadRequest): Promise<Session | undefined> {
  const sufficient = sameDemands(request.options, former.options);
  switch (former.status) {
    case "completed":
      return sufficient && (await unchanged(parts, former)) ? shared(parts, former, request) : undefined;
    case "queued":
    case "waiting":
    case "active":
      // What a caller over TCP may not reach, the owner may.
      if (!sufficient || (former.options.remote && !request.options.remote)) return undefined;
      return asksMore(request.options, former.options) ? joined(parts, former, request) : former;
    case "paused":
    case "failed":
    case "cancelled":
      return requeue(parts, former, request);
  }
}

/** True if what one brings is what the other wants: digests that were compared, and the same meaning of the URL. */
function sameDemands(wanted: DownloadOptions, former: DownloadOptions): boolean {
  const { checksum, checksumFile, size, followMetalink = true, media, newest, recordFor, tags = true } = wanted;
  return (
    (!checksum || checksum.value === former.checksum?.value) &&
    (checksumFile === undefined || checksumFile === former.checksumFile) &&
    (size === undefined || size === former.size) &&
    followMetalink === (former.followMetalink ?? true) &&
    media === former.media &&
    newest === former.newest &&
    recordFor === former.recordFor &&
    tags === (former.tags ?? true) &&
    (wanted.audio === undefined || JSON.stringify(wanted.audio) === JSON.stringify(former.audio ?? [])) &&
    JSON.stringify(wanted.subtitles) === JSON.stringify(former.subtitles)
  );
}

/** True if one wants a share, or names peers, and the other does not: that can be added to what is under way. */
function asksMore({ share, peers = [] }: DownloadOptions, former: DownloadOptions): boolean {
  return (share === true && !former.share) || peers.some((peer) => !former.peers?.includes(peer));
}

/** Adds what a session under way was not asked for. One that waits begins at once: there is somebody else to ask. */
async function joined(
  parts: AcceptParts,
  former: Session,
  { url, mirrors, options }: DownloadRequest,
): Promise<Session | undefined> {
  // What the owner asked for is not a stranger's to change.
  if (options.remote && !former.options.remote) return undefined;
  const share = options.share || former.options.share;
  const peers = [...new Set([...(options.peers ?? []), ...(former.options.peers ?? [])])].slice(0, MOST_PEERS);
  const more = { ...(share && { share }), ...(peers.length > 0 && { peers }) };
  const wakes = former.status === "waiting" && options.peers !== undefined;
  try {
    return await parts.store.update(
      former.id,
      { options: { ...former.options, ...more }, ...(wakes && { status: "queued", error: undefined }) },
      { sync: true },
    );
  } catch (error) {
    return await steered(parts, former.id, error, { url, mirrors, options });
  }
}

/** A file that is here already is shared now, if that is wanted: once more, if it was. */
async function shared(parts: AcceptParts, former: Session, request: DownloadRequest): Promise<Session | undefined> {
  const { options } = request;
  const { id, url, file, part, digests = [] } = former;
  if (!options.share || !file || !part) return former;
  const recorded = await parts.store.chunks(id, part.epoch);
  const chunks = Array.from({ length: chunkCount(file.size, part.chunkSize) }, (_, at) => recorded.get(at) ?? "");
  const placed = { file, chunkSize: part.chunkSize, chunks, digests: former.sourceManifest ? [] : digests };
  const patch = await share(parts, { id, url, options }, placed);
  return await parts.store.update(id, patch).catch((error: unknown) => steered(parts, id, error, request));
}

/** Asked for again: the new options hold, what is on disk is used. */
async function requeue(
  parts: AcceptParts,
  { id }: Session,
  { url, options, mirrors }: DownloadRequest,
): Promise<Session | undefined> {
  const patch = { status: "queued", options, mirrors, attempt: 0, error: undefined, detour: undefined } as const;
  try {
    return await parts.store.update(id, patch, { sync: true });
  } catch (error) {
    return await steered(parts, id, error, { url, mirrors, options });
  }
}

/** Somebody else was quicker, and brought the session back, ended it or forgot it. */
async function steered(
  parts: AcceptParts,
  id: string,
  error: unknown,
  request: DownloadRequest,
): Promise<Session | undefined> {
  const { code } = asDownloadError(error);
  if (code !== "WRONG_STATUS" && code !== "SESSION_NOT_FOUND") throw error;
  const now = await parts.store.get(id);
  return now && reuse(parts, now, request);
}

/** True if the file is as it was when it was put in place. */
async function unchanged({ files }: AcceptParts, { file }: Session): Promise<boolean> {
  const found = file && (await files.stat(file.path));
  return found !== undefined && found.size === file?.size && found.mtimeMs === file.mtimeMs && found.ino === file.ino;
}
