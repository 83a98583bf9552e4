/**
 * The acceptance run: `npm run accept NAME` runs every criterion of accept/NAME.ts at full size and prints what it
 * measured; `--only 2,4` runs some. The values also go to accept/results/NAME.json. Exits 0 only if every one is met.
 */
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { formatDuration } from "../src/shared/format.ts";
import type { Outcome } from "../test/support/scenarios/outcome.ts";
import type { Criterion } from "./criterion.ts";

interface Result extends Outcome {
  readonly id: string;
  readonly title: string;
  readonly seconds: number;
}

const { values, positionals } = parseArgs({ options: { only: { type: "string" } }, allowPositionals: true });
const name = positionals[0] ?? "";
const module = join(import.meta.dirname, `${name}.ts`);
if (!/^[a-z][a-z0-9-]*$/.test(name) || !existsSync(module)) {
  console.error(`usage: npm run accept NAME [-- --only 2,4]; there is no accept/${name || "NAME"}.ts`);
  process.exit(2);
}
const { criteria } = (await import(module)) as { readonly criteria: readonly Criterion[] };
const only = values.only?.split(",");
const unknown = only?.filter((id) => !criteria.some((criterion) => criterion.id === id)) ?? [];
if (unknown.length > 0) {
  console.error(`accept/${name}.ts has no criterion ${unknown.join(", ")}`);
  process.exit(2);
}

const results: Result[] = [];
for (const criterion of criteria) {
  if (only !== undefined && !only.includes(criterion.id)) continue;
  console.log(`\n${criterion.id}. ${criterion.title}`);
  const result = await runOne(criterion);
  for (const [key, value] of Object.entries(result.values)) console.log(`   ${key}: ${indented(String(value))}`);
  console.log(`   ${result.ok ? "MET" : "NOT MET"} after ${formatDuration(result.seconds * 1000)}`);
  results.push(result);
}

console.log("\nsummary");
for (const { id, title, ok, seconds } of results)
  console.log(`  ${id.padStart(3)}  ${ok ? "met    " : "NOT MET"}  ${`${seconds.toFixed(1)} s`.padStart(9)}  ${title}`);
const failed = results.filter(({ ok }) => !ok).length;
const file = join(import.meta.dirname, "results", `${name}.json`);
await mkdir(join(import.meta.dirname, "results"), { recursive: true });
await writeFile(file, `${JSON.stringify({ time: new Date().toISOString(), results }, undefined, 2)}\n`);
console.log(`${results.length - failed} of ${results.length} met${only ? ` (of ${criteria.length} in all)` : ""}`);
process.exitCode = failed === 0 && results.length > 0 ? 0 : 1;

async function runOne({ id, title, run }: Criterion): Promise<Result> {
  const started = performance.now();
  const outcome = await run().catch((error: unknown): Outcome => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { ok: false, values: { PROBLEM: text } };
  });
  return { id, title, ...outcome, seconds: (performance.now() - started) / 1000 };
}

function indented(text: string): string {
  return text.trimEnd().includes("\n") ? `\n     ${text.trimEnd().replaceAll("\n", "\n     ")}` : text;
}
