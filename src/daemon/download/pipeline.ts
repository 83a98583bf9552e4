/** The way of a URL: resolve → plan → fetch → verify → store → publish. Read this first. */
import { asDownloadError } from "../core/errors.ts";
import type { Plan } from "../core/plan.ts";
import { fetchFile } from "./fetch.ts";
import { type PlannedFile, plan } from "./plan.ts";
import { publish } from "./publish.ts";
import { resolve } from "./resolve.ts";
import type { Run } from "./run.ts";
import { alreadyPlaced, store } from "./store.ts";
import { verify } from "./verify.ts";

/** A resource that changes more often than this within one attempt is left alone for a while. */
const VERSIONS = 3;

/** Brings one session to its end. @throws DownloadError, or the reason of the run's signal */
export async function pipeline(run: Run): Promise<void> {
  const placed = await alreadyPlaced(run);
  if (placed) return publish(run, placed);

  const source = await resolve(run);
  const { file, size } = await fetchOneVersion(run, source);
  await using _ = file;
  await verify(run, file, size);
  const stored = await store(run, file, size);
  await publish(run, stored);
}

/** Plans and fetches; begins again where the resource changed under way, so that all bytes are of one version. */
async function fetchOneVersion(run: Run, source: Plan): Promise<{ file: PlannedFile; size: number }> {
  for (let version = 1; ; version++) {
    const file = await plan(run, source);
    try {
      if (run.session.stage !== "fetch") await run.update({ stage: "fetch" });
      return { file, size: await fetchFile(run, file) };
    } catch (error) {
      await file[Symbol.asyncDispose]();
      if (file.former !== undefined) await backToFormer(run, file);
      run.signal.throwIfAborted();
      const failed = asDownloadError(error);
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

/** The stream broke: what an earlier attempt won counts again. */
async function backToFormer(run: Run, { part }: PlannedFile): Promise<void> {
  await run.engine.files.remove(part.path);
  const { downloadedBytes, totalBytes } = run.session.progress;
  run.engine.store.progress(run.session.id, downloadedBytes, totalBytes);
}
