/** The way of a URL: resolve → plan → fetch → verify → process → store → publish. Read this first. */
import { asDownloadError, type DownloadError, failure, ResourceError } from "../core/errors.ts";
import type { Plan, Resolved } from "../core/plan.ts";
import type { Expansion } from "../core/resolved.ts";
import { expand } from "./expand.ts";
import { fetchFile } from "./fetch.ts";
import { MadeFile } from "./made-file.ts";
import { bringMedia, removeTracks } from "./media/bring.ts";
import { plan } from "./plan.ts";
import { PlannedFile } from "./planned-file.ts";
import { process } from "./process.ts";
import { publish } from "./publish.ts";
import { release } from "./quarantine.ts";
import { resolve } from "./resolve.ts";
import type { Run } from "./run.ts";
import { alreadyPlaced, type Storable, store } from "./store.ts";
import { beginDigest, verify } from "./verify.ts";

/** A resource that changes more often than this within one attempt is left alone for a while. */
const VERSIONS = 3;

/** How often what answers may turn out to mean something else. */
const MOST_TURNS = 8;

/** A file whose bytes are all here. */
interface Fetched {
  readonly file: PlannedFile;
  readonly size: number;
}

/** Brings one session to its end. @throws DownloadError, or the reason of the run's signal */
export async function pipeline(run: Run): Promise<void> {
  const placed = await alreadyPlaced(run);
  if (placed) {
    await removeTracks(run);
    return publish(run, placed);
  }

  let resolved = await resolve(run);
  for (let turns = 0; ; turns++) {
    if (turns === MOST_TURNS) throw failure("MEDIA_INVALID", "the URL leads from one thing to another, and to no file");
    if (resolved.kind === "expansion") return expand(run, resolved);
    if (resolved.kind === "media") {
      const brought: MadeFile | Plan | Expansion = await bringMedia(run, resolved);
      if (brought instanceof MadeFile) return finish(run, brought, brought.size);
      resolved = brought;
      continue;
    }
    const fetched = await fetchRight(run, resolved);
    if ("file" in fetched) return finish(run, fetched.file, fetched.size);
    // What answered is no file, but says where one is.
    resolved = fetched;
  }
}

/** The file is here and proved: it is worked on, put in place and told of. */
async function finish(run: Run, file: Storable & AsyncDisposable, size: number): Promise<void> {
  await using _ = file;
  await using made = await process(run, file);
  const stored = made ? await store(run, made, made.size) : await store(run, file, size);
  await removeTracks(run);
  await publish(run, stored);
}

/** Fetches and verifies. Where several places may have given what is wrong, each is asked for all of it by itself. */
async function fetchRight(run: Run, source: Plan): Promise<Fetched | Resolved> {
  const others: Plan[] = [];
  try {
    return await fetchVerified(run, source, others);
  } catch (error) {
    let wrong = asDownloadError(error);
    if (!isWrong(wrong)) throw error;
    for (const other of others) {
      run.logger.warn({ code: wrong.code, message: wrong.message }, "fetching all of it from another source alone");
      try {
        return await fetchVerified(run, other);
      } catch (thrown) {
        run.signal.throwIfAborted();
        const failed = asDownloadError(thrown);
        if (isWrong(failed)) wrong = failed;
      }
    }
    throw wrong;
  }
}

function isWrong({ code, metadata }: DownloadError): boolean {
  return (code === "CHECKSUM_MISMATCH" || code === "SIZE_MISMATCH") && metadata["kept"] !== undefined;
}

/** @param others - takes what is worth trying next if the bytes are wrong */
async function fetchVerified(run: Run, source: Plan, others?: Plan[]): Promise<Fetched | Resolved> {
  const fetched = await fetchOneVersion(run, source);
  if (!("file" in fetched)) return fetched;
  try {
    await verify(run, fetched.file, fetched.size, fetched.source);
    await release(run);
    return fetched;
  } catch (error) {
    const { file } = fetched;
    // What was found out on the way holds for each of them, above all the digest that was missed.
    const digests = [...(fetched.source.digests ?? []), ...(file.resource.digests ?? [])];
    const found = { ...fetched.source, digests, alone: true };
    others?.push(...file.suspects.map((place) => ({ ...found, candidates: [place] as const })));
    await file[Symbol.asyncDispose]();
    throw error;
  }
}

/** Plans and fetches; begins again where the resource changed under way, so that all bytes are of one version. */
async function fetchOneVersion(run: Run, asked: Plan): Promise<(Fetched & { readonly source: Plan }) | Resolved> {
  let source = asked;
  for (let version = 1; ; version++) {
    const file = await plan(run, source);
    if (!(file instanceof PlannedFile)) return file.resolve(run.session, run.signal);
    try {
      if (run.session.stage !== "fetch") await run.update({ stage: "fetch" });
      beginDigest(run, file, source);
      return { file, size: await fetchFile(run, file), source };
    } catch (error) {
      await file[Symbol.asyncDispose]();
      if (file.former !== undefined) await backToFormer(run, file);
      run.signal.throwIfAborted();
      const failed = asDownloadError(error);
      const others = placesLeft(source, file, failed);
      if (others) {
        run.logger.warn(
          { code: failed.code, message: failed.message },
          "the place will not give it; beginning again with another",
        );
        source = { ...source, candidates: others };
        await run.update({ resource: undefined, progress: { downloadedBytes: 0 } });
        continue;
      }
      // Whatever is wrong with its ranges, the whole in one answer may be right.
      const ignored = failed.code === "RANGE_INVALID" && !run.rangesRefused;
      if ((failed.code !== "RESOURCE_CHANGED" && !ignored) || version === VERSIONS) throw failed;
      run.rangesRefused ||= ignored;
      run.logger.warn({ code: failed.code, message: failed.message }, "beginning again with a new version of the file");
      // Where only the ranges are refused, what is here may still be gone on with another time.
      if (!ignored) await run.update({ resource: undefined, progress: { downloadedBytes: 0 } });
    }
  }
}

/** Where else the file may be had, if the place that it was fetched from has said no for good. */
function placesLeft({ candidates }: Plan, file: PlannedFile, failed: DownloadError): Plan["candidates"] | undefined {
  if (failed.retryable || !(failed instanceof ResourceError)) return undefined;
  const [first, ...rest] = candidates.filter(({ url }) => url !== file.candidates[0]?.url);
  return first && [first, ...rest];
}

/** The stream broke: what an earlier attempt won counts again. */
async function backToFormer(run: Run, { part }: PlannedFile): Promise<void> {
  await run.engine.files.remove(part.path);
  const { downloadedBytes, totalBytes } = run.session.progress;
  run.engine.store.progress(run.session.id, downloadedBytes, totalBytes);
}
