/** Criteria that are met when a command of the project succeeds, and says so in numbers. */
import { join } from "node:path";
import { runProgram } from "../test/support/run-program.ts";
import { Findings, type Outcome } from "../test/support/scenarios/outcome.ts";

const ROOT = join(import.meta.dirname, "..");
const TIMEOUT_MS = 2 * 60 * 60_000;

/** Runs the tests whose paths hold one of the words. None may fail, and none may be skipped. */
export async function testsPass(...words: readonly string[]): Promise<Outcome> {
  const findings = new Findings();
  const { code, stdout, stderr } = await node("scripts/test.ts", words);
  const count = (word: string) => Number(new RegExp(`^(?:ℹ|#) ${word} (\\d+)`, "m").exec(stdout)?.[1] ?? Number.NaN);
  for (const word of ["tests", "pass", "fail", "skipped"]) findings.note(word, count(word));
  findings.expect(code === 0, `the tests exited ${code}: ${(stdout + stderr).slice(-3000)}`);
  findings.expect(count("pass") > 0 && count("pass") === count("tests"), "not every test passed");
  findings.expect(count("skipped") === 0, `skipped: ${[...stdout.matchAll(/^.*# (?:SKIP|NOT RUN).*$/gm)].join("; ")}`);
  return findings.outcome();
}

/**
 * Runs the bench, whose table is the value. A bound that is missed is told by the table; what was not measured is an error.
 *
 * @param only - rows; default: all
 * @param sizes - settings of the bench, see bench/settings.ts
 */
export async function benchRuns(only?: string, sizes: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  const findings = new Findings();
  const args = only === undefined ? [] : ["--only", only];
  const { code, stdout, stderr } = await node("bench/run.ts", args, { ...process.env, ...sizes });
  findings.note("bench", stdout);
  findings.expect(code === 0, `the bench exited ${code}: ${stderr.slice(-2000)}`);
  return findings.outcome();
}

function node(script: string, args: readonly string[], env?: NodeJS.ProcessEnv) {
  return runProgram(process.execPath, [script, ...args], { cwd: ROOT, timeoutMs: TIMEOUT_MS, ...(env && { env }) });
}
