/** `snatchctl audio filters`: what chains can be made of. */
import { AudioServiceService } from "../../gen/snatch/v1/audio_service.ts";
import { EXIT } from "../../shared/errors.ts";
import { Connection } from "../connect.ts";
import type { Globals } from "../globals.ts";
import { ensureDaemon } from "../launch.ts";
import { escapeControls, jsonLine, print } from "../output.ts";
import { resolveTarget } from "../target.ts";

/** @returns 0 */
export async function audioFilters(flags: Globals): Promise<number> {
  const target = resolveTarget(flags);
  await ensureDaemon(flags, target);
  using connection = new Connection(target);
  const { filters } = await connection.ask(AudioServiceService.listAudioFilters, {});
  const width = Math.max(0, ...filters.map(({ name }) => name.length));
  for (const { name, description, builtIn, problem } of filters) {
    if (flags.json) {
      await print(jsonLine({ name, description, built_in: builtIn, problem: problem || null }));
      continue;
    }
    const why = problem === "" ? "" : ` (cannot run here: ${escapeControls(problem)})`;
    await print(`${name.padEnd(width)}  ${escapeControls(description)}${why}`);
  }
  return EXIT.ok;
}
