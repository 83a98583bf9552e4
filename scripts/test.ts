/**
 * Runs the tests: all of them, or those whose path holds one of the words given.
 * `npm test`, `npm test -- session`, `npm test -- e2e/lists unit/http`.
 */
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { availableParallelism } from "node:os";

const words = process.argv.slice(2).filter((word) => !word.startsWith("-"));
const flags = process.argv.slice(2).filter((word) => word.startsWith("-"));
const files = globSync("test/**/*.test.ts").filter(
  (file) => words.length === 0 || words.some((word) => file.includes(word)),
);
if (files.length === 0) {
  console.error(`no test file matches ${words.join(" ")}`);
  process.exit(1);
}
// A proxy of whoever runs the tests is nobody that the tests' own servers are to be asked through.
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/_proxy$/i.test(name)));
// Node leaves one processor idle; most tests wait for other processes, so that all of them have work.
const options = ["--test", "--test-timeout=240000", `--test-concurrency=${availableParallelism()}`];
const { status } = spawnSync(process.execPath, [...options, ...flags, ...files.sort()], { stdio: "inherit", env });
process.exit(status ?? 1);
