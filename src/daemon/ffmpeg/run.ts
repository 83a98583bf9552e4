/**
 * The one runner of FFmpeg: a limited number at once, a time limit each, an end that leaves nothing behind. An output has
 * its name when it is whole and synced, or it is not there.
 */
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { asDownloadError, type DownloadError, failure } from "../core/errors.ts";
import type { MediaRun, MediaRunResult } from "../core/media-tool.ts";
import type { Clock } from "../core/ports/runtime.ts";
import { argumentsOf } from "./arguments.ts";
import { concatList } from "./escape.ts";
import type { FoundProgram, ProgramFinder } from "./find.ts";
import { Gate } from "./gate.ts";
import { LogTail } from "./log-tail.ts";
import { type Ending, type RunningProcess, start } from "./process.ts";
import { ProgressReader } from "./progress.ts";
import { type Staged, stage } from "./staging.ts";

/** How it is run. */
export interface RunnerOptions {
  /** Processes at once. */
  readonly processes: number;
  /** Milliseconds that a run may take if it does not say. */
  readonly timeoutMs: number;
}

/** What it needs. */
export interface RunnerDeps {
  readonly finder: ProgramFinder;
  readonly clock: Clock;
}

/** Runs FFmpeg. Disposed of, it ends what runs, waits for it, and takes nothing more. */
export class Runner implements AsyncDisposable {
  readonly #options: RunnerOptions;
  readonly #deps: RunnerDeps;
  readonly #gate: Gate;
  readonly #end = new AbortController();
  readonly #busy = new Set<Promise<unknown>>();

  constructor(options: RunnerOptions, deps: RunnerDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#gate = new Gate(options.processes);
  }

  /** As in `MediaTool.run`. */
  async run(run: MediaRun): Promise<MediaRunResult> {
    const signal = run.signal === undefined ? this.#end.signal : AbortSignal.any([run.signal, this.#end.signal]);
    const work = this.#gate.run(async () => this.#run(run, await this.#deps.finder.find(signal), signal), signal);
    this.#busy.add(work);
    try {
      return await work;
    } finally {
      this.#busy.delete(work);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort(failure("SHUTTING_DOWN", "the daemon is ending; FFmpeg was ended with it"));
    await Promise.allSettled(this.#busy);
  }

  async #run(run: MediaRun, program: FoundProgram, signal: AbortSignal): Promise<MediaRunResult> {
    const { output } = run;
    await using lists = await listsOf(run);
    await using staged = "path" in output ? await stage(output.path, output.replace ?? false) : undefined;
    const args = await argumentsOf(run, staged?.path, lists.paths);
    const result = await this.#process(run, program, args, signal);
    if ("path" in output && staged !== undefined) await finish(output, staged, result, signal);
    return result;
  }

  async #process(run: MediaRun, program: FoundProgram, args: string[], signal: AbortSignal): Promise<MediaRunResult> {
    const feed = run.inputs.find((input) => "bytes" in input);
    const init = { program: program.path, args, clock: this.#deps.clock, feeds: feed !== undefined, progress: true };
    const child = await start(init).catch((error: Error) => {
      throw notStarted(program, error);
    });
    const watch = this.#watch(run, child, signal);
    const log = new LogTail(run.onLog === undefined ? undefined : watch.guard(run.onLog));
    child.stderr.on("data", (bytes: Buffer) => log.add(bytes));
    const onProgress = run.onProgress && watch.guard(run.onProgress);
    const progress = new ProgressReader(run.durationSeconds, onProgress);
    child.progress?.on("data", (bytes: Buffer) => progress.add(bytes));
    const drained = watch.over(drain(child, run));
    if (feed !== undefined) void watch.over(feedInto(child, feed.bytes));
    try {
      const [ending] = await Promise.all([child.ended, drained]);
      signal.throwIfAborted();
      const problem = watch.problem() ?? problemOf(ending, log.lines(), program);
      if (problem !== undefined) throw problem;
      return { ...(progress.seconds !== undefined && { seconds: progress.seconds }), log: log.lines() };
    } finally {
      watch.stop();
    }
  }

  /** Ends the process when it is called off, takes too long, or something of ours fails. */
  #watch(run: MediaRun, child: RunningProcess, signal: AbortSignal) {
    let problem: unknown;
    const fail = (reason: unknown): void => {
      problem ??= reason;
      child.stop();
    };
    const onAbort = (): void => child.stop();
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    const limit = run.timeoutMs ?? this.#options.timeoutMs;
    const stopLimit = this.#deps.clock.timer(limit, () =>
      fail(failure("FFMPEG_TIMED_OUT", `FFmpeg was ended: it took longer than ${limit / 1000} s`)),
    );
    return {
      problem: () => problem,
      /** A callback of the caller's that throws ends the run, not the daemon. */
      guard:
        <T>(callback: (value: T) => void) =>
        (value: T): void => {
          try {
            callback(value);
          } catch (error) {
            fail(error);
          }
        },
      over: (work: Promise<unknown>): Promise<unknown> => work.catch(fail),
      stop(): void {
        stopLimit();
        signal.removeEventListener("abort", onAbort);
      },
    };
  }
}

/** What FFmpeg prints goes to the sink, which holds it back; without one it goes nowhere. */
async function drain(child: RunningProcess, run: MediaRun): Promise<void> {
  const { output } = run;
  if (!("sink" in output)) {
    child.stdout.resume();
    return;
  }
  try {
    for await (const bytes of child.stdout) await output.sink(bytes as Buffer);
  } catch (error) {
    // Cut off because the process was ended: its ending says why.
    if ((error as NodeJS.ErrnoException).code !== "ERR_STREAM_PREMATURE_CLOSE") throw error;
  }
}

async function feedInto(child: RunningProcess, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  if (child.stdin === null) return;
  try {
    await pipeline(Readable.from(bytes, { objectMode: false }), child.stdin);
  } catch (error) {
    // FFmpeg had enough, or has ended: its ending says which.
    const { code = "" } = error as NodeJS.ErrnoException;
    if (!["EPIPE", "ECONNRESET", "ERR_STREAM_PREMATURE_CLOSE", "ERR_STREAM_DESTROYED"].includes(code)) throw error;
  }
}

async function finish(
  output: { readonly path: string; readonly prove?: (path: string) => Promise<void> },
  staged: Staged,
  { log }: MediaRunResult,
  signal: AbortSignal,
): Promise<void> {
  const { size } = await stat(staged.path);
  if (size === 0) throw failed("FFmpeg wrote nothing", log, {});
  await output.prove?.(staged.path);
  signal.throwIfAborted();
  await staged.keep();
}

function problemOf(
  { code, signal }: Ending,
  log: readonly string[],
  { path }: FoundProgram,
): DownloadError | undefined {
  if (code === 0) return unwritten(log);
  // It was there when it was looked for.
  const last = log.at(-1) ?? "";
  if ((code === 126 || code === 127) && last.startsWith("setpriv:"))
    return failure("FFMPEG_MISSING", `${path} could not be started: ${last}`, { metadata: { program: path } });
  // FFmpeg says it in words only; the write that failed is what matters, not what followed from it.
  if (log.some((line) => line.includes("No space left on device") || line.includes("Disk quota exceeded")))
    return failure("DISK_FULL", "FFmpeg could not write its output: the disk is full");
  if (signal !== null) return failed(`FFmpeg was ended by ${signal}`, log, { program: path, signal });
  return failed(`FFmpeg failed with exit code ${code}`, log, { program: path, exit_code: String(code) });
}

/** FFmpeg ends with 0 although the last of what it wrote did not reach the disk. */
function unwritten(log: readonly string[]): DownloadError | undefined {
  const line = log.find((text) => /^(\[[^\]]+\] )?Error (writing trailer of|closing file) .*: [^:]+$/.test(text));
  if (line === undefined) return undefined;
  if (/No space left on device|Disk quota exceeded/.test(line))
    return failure("DISK_FULL", "FFmpeg could not write the end of its output: the disk is full");
  return failed("FFmpeg could not write the end of its output", [line], {});
}

function failed(what: string, log: readonly string[], metadata: Record<string, string>): DownloadError {
  const last = log.at(-1);
  const message = last === undefined ? what : `${what}: ${last}`;
  return failure("FFMPEG_FAILED", message, { metadata: { ...metadata, log: log.slice(-12).join("\n") } });
}

function notStarted({ path }: FoundProgram, error: NodeJS.ErrnoException): DownloadError {
  const { code = "" } = error;
  if (["EMFILE", "ENFILE", "ENOMEM"].includes(code)) return asDownloadError(error);
  if (code === "EAGAIN")
    return failure("MEMORY_SHORT", `${path} could not be started: ${error.message}`, { cause: error });
  const missing = code === "ENOENT" || code === "EACCES" || code === "ENOEXEC";
  const metadata = { program: path, errno: code };
  return failure(missing ? "FFMPEG_MISSING" : "FFMPEG_FAILED", `${path} could not be started: ${error.message}`, {
    cause: error,
    metadata,
  });
}

/** The lists of what is concatenated, in a folder of their own. */
async function listsOf(run: MediaRun): Promise<AsyncDisposable & { readonly paths: readonly string[] }> {
  const wanted = run.inputs.flatMap((input) => ("concat" in input ? [concatList(input.concat)] : []));
  if (wanted.length === 0) return { paths: [], async [Symbol.asyncDispose]() {} };
  const folder = await mkdtemp(join(tmpdir(), "snatch-ffmpeg-"));
  const paths = wanted.map((_, index) => join(folder, `${index}.ffconcat`));
  await Promise.all(wanted.map((text, index) => writeFile(paths[index] ?? "", text)));
  return { paths, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}
