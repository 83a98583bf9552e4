/** Requests that were not accepted: a line each, and the exit code of the first. */
import { EXIT } from "../shared/errors.ts";
import type { Globals } from "./globals.ts";
import { refusalLine } from "./lines.ts";
import { errorJson, jsonLine, note, print } from "./output.ts";
import type { Refusal } from "./submit.ts";

/** @returns the exit code of the first refusal; 0 if there is none */
export async function reportRefusals(refusals: readonly Refusal[], count: number, globals: Globals): Promise<number> {
  for (const refusal of refusals) {
    if (globals.json) await print(jsonLine(refusalJson(refusal)));
    else note(refusalLine(refusal));
  }
  const more = count - refusals.length;
  if (more > 0 && !globals.json) note(`… and ${more} more lines were refused`);
  return refusals[0]?.error.exit ?? EXIT.ok;
}

/** In the shape of a session that failed, with a status that no session has. */
function refusalJson({ text, lineNumber, error }: Refusal): Record<string, unknown> {
  return {
    session_id: null,
    url: text,
    status: "refused",
    ...(lineNumber !== undefined && { line_number: lineNumber }),
    error_info: errorJson(error),
  };
}
