/** Stage 1: what does the URL mean? */
import { failure } from "../core/errors.ts";
import type { Plan, Resolved } from "../core/plan.ts";
import type { Run } from "./run.ts";

/** Asks the resolvers in order. @throws DownloadError UNSUPPORTED_SCHEME, or what the resolver threw */
export async function resolve(run: Run): Promise<Resolved> {
  const { url, mirrors, options } = run.session;
  const resolver = run.engine.resolvers.find((candidate) => candidate.claims(url, options));
  if (!resolver) throw failure("UNSUPPORTED_SCHEME", `nothing here can fetch ${url.split(":", 1)[0]}: URLs`);
  return inOrder(run, await resolver.resolve({ url, mirrors, options }, run.signal));
}

/** The candidates in the order in which this attempt asks them. */
function inOrder(run: Run, plan: Resolved): Resolved {
  if (plan.kind === "media" || plan.kind === "expansion") return plan;
  const { attempt, detour } = run.session;
  const { candidates } = plan;
  // A hook sent the next attempt there; if that does not help, the ordinary places are left.
  if (detour) return { ...plan, candidates: [detour, ...candidates] };
  return { ...plan, candidates: rotate(candidates, attempt - 1) };
}

/** Each attempt begins with the next candidate, so that a dead first one does not hold up the others for ever. */
function rotate(candidates: Plan["candidates"], by: number): Plan["candidates"] {
  const at = Math.max(by, 0) % candidates.length;
  const [first, ...rest] = [...candidates.slice(at), ...candidates.slice(0, at)];
  return [first ?? candidates[0], ...rest];
}
