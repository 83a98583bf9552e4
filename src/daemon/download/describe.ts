/**
 * What else is known of a resource than its answer says: an origin may point at a description of it (RFC 6249 §4), which
 * tells hashes and more places. A description that cannot be had, or is of something else, is no reason to fail.
 */
import { asDownloadError } from "../core/errors.ts";
import type { Plan } from "../core/plan.ts";
import type { DescribedFile } from "../core/ports/resolve.ts";
import type { RangeStream } from "../core/ports/sources.ts";
import type { ResourceInfo } from "../core/session.ts";
import type { Run } from "./run.ts";

/** Places that a description may add. */
const MOST_MIRRORS = 100;

/**
 * The resource with all that is known of it: digests from elsewhere before those of the answer, which is how the record and
 * the receipt come to them; what its description adds behind them.
 */
export async function withDescription(
  run: Run,
  { resource, describedBy }: RangeStream,
  { digests: given = [], final }: Plan,
): Promise<ResourceInfo> {
  const wanted = describedBy !== undefined && !final && run.session.options.followMetalink !== false;
  const file = wanted ? await describe(run, describedBy, resource) : undefined;
  if (!file && given.length === 0) return resource;
  const { digests = [], mirrors = [], finalUrl } = resource;
  const known = digests.some(({ algorithm }) => algorithm === file?.digest?.algorithm);
  const all = [...given, ...digests, ...(file?.digest && !known ? [file.digest] : [])];
  const unique = new Map(all.toReversed().map((digest) => [`${digest.algorithm}=${digest.value}`, digest]));
  const places = [...new Set([...mirrors, ...(file?.urls ?? [])])].filter((url) => url !== finalUrl);
  return {
    ...resource,
    ...(unique.size > 0 && { digests: [...unique.values()].toReversed() }),
    ...(places.length > 0 && { mirrors: places.slice(0, MOST_MIRRORS) }),
  };
}

async function describe(run: Run, url: string, resource: ResourceInfo): Promise<DescribedFile | undefined> {
  const resolver = run.engine.resolvers.find((each) => each.describe);
  try {
    // The file's own connection is open meanwhile: of a host that gives only one the description is never had.
    const signal = AbortSignal.any([run.signal, AbortSignal.timeout(run.settings.timeout * 1000)]);
    const file = await resolver?.describe?.(url, run.session, resource, signal);
    const { size } = resource;
    const other = file?.size !== undefined && size !== undefined && file.size !== size;
    return other ? undefined : file;
  } catch (error) {
    run.signal.throwIfAborted();
    const { code, message } = asDownloadError(error);
    run.logger.info({ code }, `the origin's description of the file is of no use: ${message}`);
    return undefined;
  }
}
