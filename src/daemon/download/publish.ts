/** Stage 7: the world is told. */
import type { PlacedFile } from "../core/ports.ts";
import type { Run } from "./run.ts";

/** Marks the session completed, and tells the hooks. */
export async function publish(run: Run, placed: PlacedFile): Promise<void> {
  const { file } = placed;
  // Asked for together, both are one write to the disk.
  const noted = run.engine.cache?.placed?.(placed);
  await run.update({
    status: "completed",
    stage: undefined,
    error: undefined,
    nextAttemptAt: undefined,
    target: file.path,
    file,
    completedAt: run.engine.clock.now(),
  });
  run.logger.info({ path: file.path, size: file.size }, "completed");
  await run.engine.hooks.postDownload(run.session.url, file.path);
  await noted;
}
