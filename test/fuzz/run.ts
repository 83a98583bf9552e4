/**
 * `npm run fuzz -- --rounds N --seed S`: the randomised run, for as long as one likes. `--only R` runs a single round of it
 * again. Exits 1 if a round went wrong.
 */
import { parseArgs } from "node:util";
import { randomRun } from "../support/scenarios/random-run.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string" }, seed: { type: "string" }, only: { type: "string" } },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const { ok, values: found } = await randomRun({
  rounds: Number(values.rounds ?? 1000),
  seed,
  ...(values.only !== undefined && { only: Number(values.only) }),
  onBatch: (done, problems) => console.log(`seed ${seed}: ${done} rounds, ${problems} problems`),
});
for (const [name, value] of Object.entries(found)) console.log(`${name}: ${value}`);
process.exitCode = ok ? 0 : 1;
