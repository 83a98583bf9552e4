/** Stage 7: the world is told. */
import type { PlacedFile } from "../core/ports/files.ts";
import type { Run } from "./run.ts";
import { share } from "./share.ts";

/** Shares the file if that is wanted, marks the session completed, and tells the hooks. */
export async function publish(run: Run, placed: PlacedFile): Promise<void> {
  const { file } = placed;
  // Asked for together, both are one write to the disk.
  const noted = run.engine.cache?.placed?.(placed);
  // Before the end is recorded: whoever hears of that hears of the share as well.
  const shared = run.session.options.share ? await share(run.engine, run.session, placed) : undefined;
  await run.update({
    status: "completed",
    stage: undefined,
    error: undefined,
    nextAttemptAt: undefined,
    target: file.path,
    file,
    completedAt: run.engine.clock.now(),
    ...shared,
  });
  run.logger.info({ path: file.path, size: file.size }, "completed");
  await run.engine.hooks.postDownload(run.session.url, file.path);
  await noted;
}
