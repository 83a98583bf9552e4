/**
 * "Have we got this?", asked before anything is queued. The archive is keyed by the URL and the place it was asked for:
 * what is unfinished goes on, what is finished and unchanged on disk is there already, everything else is fetched.
 */
import { archiveKeyOf, archiveText } from "../core/archive.ts";
import { asDownloadError } from "../core/errors.ts";
import type { Accepted, AcceptOptions } from "../core/ports.ts";
import type { DownloadOptions, DownloadRequest, Session } from "../core/session.ts";
import type { EngineParts } from "./run.ts";

/** Queues checked requests as one durable batch; answers in their order. */
export async function acceptRequests(
  { store, files }: Pick<EngineParts, "store" | "files">,
  requests: readonly DownloadRequest[],
  { batchId, with: more }: AcceptOptions,
): Promise<readonly Accepted[]> {
  const keys = requests.map(archiveKeyOf);
  const known = await store.archived(keys);
  const sessions = new Map<string, Session>();
  const fresh = new Map<string, DownloadRequest>();
  const adopted = new Map<string, Session>();
  for (const [at, request] of requests.entries()) {
    const name = archiveText(keys[at] ?? archiveKeyOf(request));
    if (sessions.has(name) || fresh.has(name)) continue;
    const former = request.options.force ? undefined : known[at];
    const useful = former && (await reuse(store, files, former, request));
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
async function reuse(
  store: EngineParts["store"],
  files: EngineParts["files"],
  former: Session,
  request: DownloadRequest,
): Promise<Session | undefined> {
  const sufficient = sameDemands(request.options, former.options);
  switch (former.status) {
    case "completed":
      return sufficient && (await unchanged(files, former)) ? former : undefined;
    case "queued":
    case "waiting":
    case "active":
      // What a caller over TCP may not reach, the owner may.
      return sufficient && (request.options.remote || !former.options.remote) ? former : undefined;
    case "paused":
    case "failed":
    case "cancelled":
      return requeue(store, files, former, request);
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

/** Asked for again: the new options hold, what is on disk is used. */
async function requeue(
  store: EngineParts["store"],
  files: EngineParts["files"],
  { id }: Session,
  { options, mirrors }: DownloadRequest,
): Promise<Session | undefined> {
  const patch = { status: "queued", options, mirrors, attempt: 0, error: undefined, detour: undefined } as const;
  try {
    return await store.update(id, patch, { sync: true });
  } catch (error) {
    const { code } = asDownloadError(error);
    if (code !== "WRONG_STATUS" && code !== "SESSION_NOT_FOUND") throw error;
    // Somebody else was quicker, and brought it back or forgot it.
    const now = await store.get(id);
    return now && reuse(store, files, now, { url: now.url, mirrors, options });
  }
}

/** True if the file is as it was when it was put in place. */
async function unchanged(files: EngineParts["files"], { file }: Session): Promise<boolean> {
  const found = file && (await files.stat(file.path));
  return found !== undefined && found.size === file?.size && found.mtimeMs === file.mtimeMs && found.ino === file.ino;
}
