/**
 * What else is known of a resource than its answer says: an origin may point at a description of it (RFC 6249 §4), which
 * tells hashes and more places. A description that cannot be had, or is of something else, is no reason to fail.
 */
import { asDownloadError } from "../core/errors.ts";
import type { Plan } from "../core/plan.ts";
import type { DescribedFile, RangeStream } from "../core/ports.ts";
import type { ResourceInfo } from "../core/session.ts";
import type { Run } from "./run.ts";

/** The resource with what its description adds: digests behind those of the answer, places behind its own. */
export async function withDescription(
  run: Run,
  { resource, describedBy }: RangeStream,
  { final }: Plan,
): Promise<ResourceInfo> {
  const resolver = run.engine.resolvers.find(({ describe }) => describe);
  if (describedBy === undefined || final || run.session.options.followMetalink === false || !resolver?.describe)
    return resource;
  let file: DescribedFile | undefined;
  try {
    file = await resolver.describe(describedBy, run.session, resource, run.signal);
  } catch (error) {
    run.signal.throwIfAborted();
    const { code, message } = asDownloadError(error);
    run.logger.info({ code }, `the origin's description of the file is of no use: ${message}`);
  }
  if (!file || (file.size !== undefined && resource.size !== undefined && file.size !== resource.size)) return resource;
  const { digests = [], mirrors = [] } = resource;
  const known = digests.some(({ algorithm }) => algorithm === file.digest?.algorithm);
  const places = [...new Set([...mirrors, ...file.urls])].filter((url) => url !== resource.finalUrl);
  return {
    ...resource,
    ...(file.digest && !known && { digests: [...digests, file.digest] }),
    ...(places.length > 0 && { mirrors: places.slice(0, 100) }),
  };
}
