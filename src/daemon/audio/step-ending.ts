/** What the result of a step is called: as the file is, where its format stays. */
import type { MediaTool } from "../core/ports/media.ts";
import { endingFor, formatLike } from "./format.ts";
import { openSource } from "./source.ts";

/**
 * The ending that stands for the format of a result.
 *
 * @param named - the ending of the name that the file is going to have, with its dot; "" if there is none
 * @throws as `openSource`
 */
export async function endingOf(
  tool: Pick<MediaTool, "probe">,
  path: string,
  named: string,
  signal: AbortSignal,
): Promise<{ readonly ending: string; readonly kept: boolean }> {
  const source = await openSource(tool, path, signal);
  const format = formatLike(source);
  const ending = endingFor(format.container, source);
  return { ending, kept: format.kept || named.toLowerCase() === `.${ending}` };
}
