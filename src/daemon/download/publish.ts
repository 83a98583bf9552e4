/** Stage 7: the world is told. */
import type { PlacedFile } from "../core/ports.ts";
import type { Run } from "./run.ts";

/** Marks the session completed, and tells the hooks. */
export async function publish(run: Run, placed: PlacedFile): Promise<void> {
  const { file } = placed;
  await Promise.all([
    run.update({
      status: "completed",
      stage: undefined,
      error: undefined,
      nextAttemptAt: undefined,
      target: file.path,
      file,
      completedAt: run.engine.clock.now(),
    }),
    // Asked for together, both are one write to the disk.
    run.engine.cache?.placed?.(placed),
  ]);
  run.logger.info({ path: file.path, size: file.size }, "completed");
  await run.engine.hooks.postDownload(run.session.url, file.path);
}
