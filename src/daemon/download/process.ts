/**
 * Stage 5: steps work on the file, each on what the one before made. What was fetched and proved stays until the result is in
 * place, so that a step that fails costs no byte, and a retry fetches nothing again.
 */
import { basename, dirname, join, parse } from "node:path";
import { failure } from "../core/errors.ts";
import { makeManifest } from "../core/manifest.ts";
import type { ProcessStep } from "../core/ports/media.ts";
import { MadeFile } from "./made-file.ts";
import type { Run } from "./run.ts";
import type { Storable } from "./store.ts";
import { requireSpace } from "./target.ts";

/**
 * Runs the steps that the request, or the configuration, wants.
 *
 * @returns the file that they made; undefined if there was nothing to do
 * @throws DownloadError of the step, INVALID_ARGUMENT for a step that nobody has
 */
export async function process(run: Run, file: Storable): Promise<MadeFile | undefined> {
  const { session, engine, settings } = run;
  const names = session.options.audio ?? settings.audioSteps ?? [];
  if (names.length === 0) return undefined;
  if (!engine.steps) throw failure("INVALID_ARGUMENT", `audio: nothing here can ${names.join(", ")}`);
  const steps = engine.steps.steps(names);
  await run.update({ stage: "process" });
  await file.part.sync();
  const size = await file.part.size();
  await requireSpace(run, dirname(file.part.path), size);
  const made = await runSteps(run, file, steps);
  if (made.path === file.part.path) return undefined;
  try {
    return await described(run, file, made, size);
  } catch (error) {
    await engine.files.remove(made.path);
    throw error;
  }
}

/** What the steps made, as a file that can be put in place. */
async function described(
  run: Run,
  file: Storable,
  made: { readonly path: string; readonly ext?: string },
  size: number,
): Promise<MadeFile> {
  const { session, engine, settings } = run;
  const epoch = Math.max(file.epoch, session.part?.epoch ?? 0) + 1;
  const name = made.ext === undefined ? basename(file.target) : `${parse(file.target).name}.${made.ext}`;
  const policy = session.options.ifExists ?? settings.ifExists;
  const own = basename(file.target) === name;
  using held = new DisposableStack();
  const claim = own ? file.handOver() : await engine.files.claim(dirname(file.target), name, policy);
  held.use(claim);
  const chunks = Array.from({ length: Math.ceil(size / file.chunkSize) }, (_, index) => file.done.get(index) ?? "");
  const { chunks: _chunks, ...source } = makeManifest(size, file.chunkSize, chunks);
  const former = file.patch?.part ?? session.part;
  const result = await MadeFile.of(run, {
    path: made.path,
    claim,
    epoch,
    resource: file.resource,
    ...(file.besides && { besides: file.besides }),
    former: file.part.path,
    patch: {
      ...file.patch,
      sourceManifest: file.patch?.sourceManifest ?? source,
      part: { ...former, path: made.path, chunkSize: settings.chunkSize, epoch },
    },
  });
  held.move();
  return result;
}

async function runSteps(
  run: Run,
  file: Storable,
  steps: readonly ProcessStep[],
): Promise<{ readonly path: string; readonly ext?: string }> {
  const name = basename(file.target);
  let current: { path: string; ext?: string } = { path: file.part.path };
  for (const [at, step] of steps.entries()) {
    run.signal.throwIfAborted();
    const output = join(dirname(file.part.path), `${basename(file.part.path)}.${at}`);
    const result = await step.run({ path: current.path, name }, output, { signal: run.signal }).catch(async (error) => {
      if (current.path !== file.part.path) await run.engine.files.remove(current.path);
      throw error;
    });
    if (!result) {
      run.logger.info({ step: step.name }, "nothing to do");
      continue;
    }
    // Of the steps only the last result counts; what was fetched is not a result.
    if (current.path !== file.part.path) await run.engine.files.remove(current.path);
    const ext = result.ext ?? current.ext;
    current = { path: result.path, ...(ext !== undefined && { ext }) };
    for (const note of result.notes ?? []) run.logger.info({ step: step.name }, note);
  }
  return current;
}
