/** How what a playlist names is asked for: held to the policy for documents, with the fields of its own origin. */
import type { SourceFactory } from "../../core/ports/sources.ts";
import type { Track } from "../../core/resolved.ts";
import type { Run } from "../run.ts";

/** The options of a request for a piece of a track, or for its key. */
export function wayTo(run: Run, url: string, track: Track): Parameters<SourceFactory["http"]>[1] {
  const { timeout = run.settings.timeout, remote, namedBy: asked } = run.session.options;
  const namedBy = track.namedBy ?? asked;
  const [first] = track.segments;
  const own = first !== undefined && new URL(first.url).origin === new URL(url).origin;
  return {
    headers: own ? track.headers : [],
    timeoutMs: timeout * 1000,
    ...(namedBy !== undefined && { namedBy }),
    ...(remote && { remote }),
  };
}
