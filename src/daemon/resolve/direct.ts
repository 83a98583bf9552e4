/** The plainest meaning of a URL: it names the file itself. */
import type { Plan } from "../core/plan.ts";
import type { Resolver } from "../core/ports/resolve.ts";
import type { SourceFactory } from "../core/ports/sources.ts";
import type { DownloadRequest } from "../core/session.ts";
import { Documents } from "./document.ts";
import { sidecarDigest } from "./sidecar.ts";

/** Takes every http and https URL as the file itself, its mirrors as more places with the same bytes. */
export class DirectResolver implements Resolver {
  readonly name = "direct";
  readonly #documents: Documents;

  /** @param sources - for a checksum file, if one is wanted */
  constructor(sources: SourceFactory) {
    this.#documents = new Documents(sources);
  }

  claims(url: string): boolean {
    return url.startsWith("http://") || url.startsWith("https://");
  }

  /** @throws ResourceError CHECKSUM_NOT_FOUND */
  async resolve(request: DownloadRequest, signal: AbortSignal): Promise<Plan> {
    const headers = request.options.headers ?? [];
    // A mirror is another origin: what the user gave for the first one is not for it to see.
    const mirrors = request.mirrors.map((url) => ({ url, headers: [] }));
    const digest = await sidecarDigest(this.#documents, request, request.url, signal);
    return { candidates: [{ url: request.url, headers }, ...mirrors], ...(digest && { digests: [digest] }) };
  }
}
