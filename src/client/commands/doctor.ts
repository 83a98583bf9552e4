/**
 * `snatchctl doctor`: what the daemon's checks find. Without a daemon, or with a configuration that keeps it from
 * starting, the daemon's program makes the same checks by itself (`snatchd --check --json`).
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { type CheckResult, DaemonServiceService } from "../../gen/snatch/v1/daemon_service.ts";
import { EXIT } from "../../shared/errors.ts";
import { connect, isGone } from "../connect.ts";
import { fail, messageOf } from "../failure.ts";
import type { Globals } from "../globals.ts";
import { daemonArguments } from "../launch.ts";
import { escapeControls, jsonLine, note, paint, print } from "../output.ts";

interface Finding {
  readonly check_id: string;
  readonly title: string;
  readonly status: string;
  readonly message: string;
  readonly fix?: string;
  readonly details?: Readonly<Record<string, string>>;
}

/** Something about the configuration: an error keeps the daemon from starting. */
interface Problem {
  readonly severity: string;
  readonly key: string;
  readonly message: string;
  /** The file and line, the variable, the flag. */
  readonly where: string;
}

interface Report {
  readonly config_problems: readonly Problem[];
  readonly checks: readonly Finding[];
}

/** @returns 0 if nothing failed, 12 for a broken configuration, 1 for any other failed check */
export async function doctor(globals: Globals): Promise<number> {
  const report = (await askDaemon(globals)) ?? (await runChecks(globals));
  for (const problem of report.config_problems) await reportProblem(problem, globals);
  for (const check of report.checks) await reportCheck(check, globals);
  if (report.config_problems.some(({ severity }) => severity !== "warning")) return EXIT.config;
  return report.checks.some(({ status }) => status === "failed") ? EXIT.unexpected : EXIT.ok;
}

/** @returns undefined if no daemon answers at the user's own address */
async function askDaemon(globals: Globals): Promise<Report | undefined> {
  using connection = connect(globals);
  try {
    const { results } = await connection.ask(DaemonServiceService.runChecks, { checkIds: [] });
    return { config_problems: [], checks: results.map(fromWire) };
  } catch (error) {
    if (!isGone(error) || !connection.target.own) throw error;
    if (!globals.quiet && !globals.json) note("no daemon runs; checking what it would find");
    return undefined;
  }
}

function fromWire({ checkId, title, status, message, fix, details }: CheckResult): Finding {
  return {
    check_id: checkId,
    title,
    status: status.slice("CHECK_STATUS_".length).toLowerCase(),
    message,
    fix,
    details,
  };
}

async function runChecks(globals: Globals): Promise<Report> {
  const output = await promisify(execFile)(process.execPath, daemonArguments(globals, "--check", "--json"), {
    timeout: 120_000,
    maxBuffer: 16 * 1024 * 1024,
  }).catch((error: { readonly stdout?: string; readonly stderr?: string; readonly message: string }) => ({
    // Failed checks make it exit with another code than 0: what it printed counts.
    stdout: error.stdout ?? "",
    stderr: error.stderr || error.message,
  }));
  try {
    const report = JSON.parse(output.stdout) as { config_problems?: readonly unknown[]; checks?: readonly Finding[] };
    return { config_problems: (report.config_problems ?? []).map(readProblem), checks: report.checks ?? [] };
  } catch (error) {
    throw fail("INTERNAL", `the daemon's checks could not be run: ${output.stderr.trim() || messageOf(error)}`);
  }
}

/** A problem comes as a line of text, or as an object. */
function readProblem(problem: unknown): Problem {
  const { severity, key, message, where } = (typeof problem === "object" ? (problem ?? {}) : {}) as Partial<Problem>;
  return {
    severity: severity ?? "error",
    key: key ?? "",
    message: message ?? (typeof problem === "string" ? problem : JSON.stringify(problem)),
    where: where ?? "",
  };
}

async function reportProblem(problem: Problem, globals: Globals): Promise<void> {
  const { severity, key, message, where } = problem;
  if (globals.json) {
    await print(jsonLine({ config_problem: problem }));
    return;
  }
  const named = key === "" || message.includes(key) ? message : `${key}: ${message}`;
  const place = where === "" || message.includes(where) ? "" : ` (${where})`;
  await print(
    `${mark(severity === "warning" ? "warning" : "failed")} ${escapeControls(`configuration: ${named}${place}`)}`,
  );
}

async function reportCheck(check: Finding, globals: Globals): Promise<void> {
  if (globals.json) {
    await print(jsonLine({ fix: "", details: {}, ...check }));
    return;
  }
  if (globals.quiet && (check.status === "ok" || check.status === "skipped")) return;
  await print(`${mark(check.status)} ${escapeControls(`${check.title}: ${check.message}`)}`);
  if (check.fix) await print(`       ${escapeControls(check.fix)}`);
}

function mark(status: string): string {
  if (status === "ok") return paint("green", "ok    ");
  if (status === "warning") return paint("yellow", "warn  ");
  return status === "failed" ? paint("red", "FAILED") : paint("gray", "skip  ");
}
