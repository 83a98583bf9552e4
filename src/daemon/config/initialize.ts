/**
 * The spec's `initialize_config_async`: loads the configuration and runs the rooms' checks side by side, as one typed
 * report. A broken configuration is part of the report; the checks then work with defaults for what is wrong.
 */
import type { Paths } from "../../shared/paths.ts";
import { failure } from "../core/errors.ts";
import type { Check, CheckOutcome, CheckReport } from "../core/ports/house.ts";
import { configChecks } from "./checks.ts";
import { examineConfig, type LoadOptions } from "./load.ts";
import { nearest } from "./nearest.ts";
import { type ConfigProblem, didYouMean, problemLine } from "./problems.ts";
import type { Config } from "./schema.ts";

/** How long a check may take, in milliseconds. */
const CHECK_TIMEOUT_MS = 10_000;

/** What to load, and what to check. */
export interface InitializeOptions extends LoadOptions {
  /** The configuration file; default: that of the default place. */
  readonly path?: string | undefined;
  /** The checks, or what makes them once the configuration is known. Default: those of this room. */
  readonly checks?: readonly Check[] | ((config: Config, paths: Paths) => readonly Check[]) | undefined;
  /** Run only these. */
  readonly ids?: readonly string[] | undefined;
  /** Milliseconds that each check may take; default 10,000. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What was found. */
export interface ConfigReport {
  /** Absent if the configuration has errors. */
  readonly config?: Config;
  /** The configuration file, whether it exists or not. */
  readonly file: string;
  readonly problems: readonly ConfigProblem[];
  /** In a stable order, `config` first. */
  readonly checks: readonly CheckReport[];
}

/** Loads and checks. @throws DownloadError INVALID_ARGUMENT if `ids` names a check that does not exist */
export async function initializeConfig(options: InitializeOptions = {}): Promise<ConfigReport> {
  const { config, paths, file, problems } = await examineConfig(options.path, options);
  const given = options.checks ?? configChecks;
  const checks = [configCheck(file, problems), ...(typeof given === "function" ? given(config, paths) : given)];
  const reports = await runChecks(checks, options);
  const usable = !problems.some((problem) => problem.severity === "error");
  return { ...(usable && { config }), file, problems, checks: reports };
}

/** The configuration itself, as a check. */
function configCheck(file: string, problems: readonly ConfigProblem[]): Check {
  const failed = problems.some((problem) => problem.severity === "error");
  const outcome: CheckOutcome =
    problems.length === 0
      ? { status: "ok", message: file }
      : {
          status: failed ? "failed" : "warning",
          message: problems.map(problemLine).join("; "),
          fix: "Correct what is named; docs/CONFIGURATION.md lists every key.",
          details: { file },
        };
  return { id: "config", title: "Configuration", run: async () => outcome };
}

/** Runs checks side by side; one that hangs or throws has failed, and the others go on. */
async function runChecks(
  checks: readonly Check[],
  options: Pick<InitializeOptions, "ids" | "timeoutMs" | "signal">,
): Promise<CheckReport[]> {
  const { ids = [], timeoutMs = CHECK_TIMEOUT_MS, signal } = options;
  const known = checks.map((check) => check.id);
  for (const id of ids)
    if (!known.includes(id))
      throw failure("INVALID_ARGUMENT", `there is no check ${id}${didYouMean(nearest(id, known))}`);
  const chosen = ids.length === 0 ? checks : checks.filter((check) => ids.includes(check.id));
  return Promise.all(
    chosen.map(async (check) => ({ id: check.id, title: check.title, ...(await runCheck(check, timeoutMs, signal)) })),
  );
}

async function runCheck(check: Check, timeoutMs: number, outer: AbortSignal | undefined): Promise<CheckOutcome> {
  const limit = new AbortController();
  const signal = outer ? AbortSignal.any([outer, limit.signal]) : limit.signal;
  const { promise: ended, resolve: end } = Promise.withResolvers<CheckOutcome>();
  // A timer of its own keeps the process alive while a check hangs on nothing.
  const timer = setTimeout(() => {
    end({ status: "failed", message: `gave no answer within ${timeoutMs / 1000} s` });
    limit.abort();
  }, timeoutMs);
  const calledOff = () => end({ status: "failed", message: "was called off" });
  outer?.addEventListener("abort", calledOff, { once: true });
  if (outer?.aborted) calledOff();
  try {
    return await Promise.race([ended, check.run(signal)]);
  } catch (error) {
    return { status: "failed", message: `the check itself failed: ${(error as Error).message}` };
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener("abort", calledOff);
  }
}
