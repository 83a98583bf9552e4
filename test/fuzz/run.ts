/**
 * `npm run fuzz -- --rounds N --seed S`: the randomised run, for as long as one likes. `--only R` runs a single round of it
 * again. `--frames N` is another one: so many streams of hostile frames. Exits 1 if something went wrong.
 */
import { parseArgs } from "node:util";
import { hostileFrames } from "../support/scenarios/p2p-frames.ts";
import { randomRun } from "../support/scenarios/random-run.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string" },
    seed: { type: "string" },
    only: { type: "string" },
    frames: { type: "string" },
  },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const { ok, values: found } =
  values.frames !== undefined
    ? await hostileFrames({ iterations: Number(values.frames), seed })
    : await randomRun({
        rounds: Number(values.rounds ?? 1000),
        seed,
        ...(values.only !== undefined && { only: Number(values.only) }),
        onBatch: (done, problems) => console.log(`seed ${seed}: ${done} rounds, ${problems} problems`),
      });
for (const [name, value] of Object.entries(found)) console.log(`${name}: ${value}`);
process.exitCode = ok ? 0 : 1;
