/**
 * A URL that leads to a Metalink means the file that it describes: by the URL's ending, or by the media type of what
 * answers. Its places become the candidates; its size and hash are what the file must have.
 */
import { basename, join } from "node:path/posix";
import { redactUrl } from "../../shared/redact.ts";
import { failure } from "../core/errors.ts";
import type { Plan } from "../core/plan.ts";
import type { DescribedFile, Resolver } from "../core/ports/resolve.ts";
import type { SourceFactory } from "../core/ports/sources.ts";
import type { Expansion } from "../core/resolved.ts";
import type { DownloadOptions, DownloadRequest, ResourceInfo } from "../core/session.ts";
import type { DirectResolver } from "./direct.ts";
import { Documents, headersFor } from "./document.ts";
import { listItem } from "./list-item.ts";
import { type MetalinkLimits, readMetalink } from "./metalink.ts";
import { fileName, sidecarDigest } from "./sidecar.ts";

/** RFC 5854 §7.1, and what version 3 was served as. */
const MEDIA_TYPE = /^application\/metalink(4)?\+xml\s*(;|$)/i;

/** Of a Metalink that a URL led to: a file of 24 GiB with hashes of pieces of 256 KiB. */
const DOCUMENT: MetalinkLimits = { characters: 8 * 1024 * 1024, elements: 100_000 };

/** Of one that nobody asked for: an origin points at it. */
const DESCRIPTION: MetalinkLimits = { characters: 2 * 1024 * 1024, elements: 20_000 };

/** Resolves Metalinks: of one file to that file, of several to requests of their own. */
export class MetalinkResolver implements Resolver {
  readonly name = "metalink";
  readonly #documents: Documents;
  readonly #direct: DirectResolver;
  readonly #safeSegment: (part: string) => string;

  /**
   * @param direct - for requests that want the Metalink itself
   * @param safeSegment - makes each part of a name safe, for files that are put where a Metalink of several says
   */
  constructor(sources: SourceFactory, direct: DirectResolver, safeSegment: (part: string) => string) {
    this.#documents = new Documents(sources);
    this.#direct = direct;
    this.#safeSegment = safeSegment;
  }

  claims(url: string): boolean {
    return this.#direct.claims(url) && /\.(meta4|metalink)$/i.test(URL.parse(url)?.pathname ?? "");
  }

  claimsAnswer({ options }: DownloadRequest, { contentType }: ResourceInfo): boolean {
    return options.followMetalink !== false && contentType !== undefined && MEDIA_TYPE.test(contentType.trim());
  }

  /** @throws ResourceError METALINK_INVALID; what fetching the Metalink throws */
  async resolve(request: DownloadRequest, signal: AbortSignal): Promise<Plan | Expansion> {
    if (request.options.followMetalink === false)
      return { ...(await this.#direct.resolve(request, signal)), final: true };
    const shown = redactUrl(request.url);
    const { files, namedBy } = await this.#read(request, signal);
    const [file] = files;
    if (!file || files.length > 1) return this.#several(files, request, namedBy);
    const [first, ...rest] = file.urls.map((url) => ({ url, headers: headersFor(url, request), namedBy }));
    if (!first) throw failure("METALINK_INVALID", `${shown} names no place of the file that http or https reaches`);
    const sidecar = await sidecarDigest(this.#documents, request, first.url, signal, namedBy);
    const digests = [...(file.digest ? [file.digest] : []), ...(sidecar ? [sidecar] : [])];
    const filename = basename(file.name);
    return {
      candidates: [first, ...rest],
      final: true,
      ...(digests.length > 0 && { digests }),
      ...(file.size !== undefined && { size: file.size }),
      ...(filename !== "" && { filename }),
    };
  }

  /** Of a Metalink with several files the one that has the resource's name. */
  async describe(
    url: string,
    request: DownloadRequest,
    { finalUrl, filename }: ResourceInfo,
    signal: AbortSignal,
  ): Promise<DescribedFile | undefined> {
    const { bytes } = await this.#documents.fetch(url, request, DESCRIPTION.characters, signal, finalUrl);
    const files = readMetalink(decode(bytes), DESCRIPTION);
    if (files.length === 1) return files[0];
    const name = filename ?? fileName(finalUrl);
    return files.find((file) => basename(file.name) === name);
  }

  /** Each as a request of its own, with its places, its size and its digest. */
  #several(files: readonly DescribedFile[], request: DownloadRequest, namedBy: string): Expansion {
    const items = files.flatMap((file) => {
      const [url, ...mirrors] = file.urls;
      return url === undefined ? [] : [listItem(request, url, { mirrors, options: this.#optionsOf(file, request) })];
    });
    if (items.length > 0) return { kind: "expansion", namedBy, items };
    const shown = redactUrl(request.url);
    throw failure(
      "METALINK_INVALID",
      `${shown} names no place of its ${files.length} files that http or https reaches`,
    );
  }

  #optionsOf({ name, size, digest }: DescribedFile, { options }: DownloadRequest): DownloadOptions {
    const { directory, remote } = options;
    // A folder of that name may be a link to elsewhere, which a caller over TCP could not name itself.
    const parts = remote ? [basename(name)] : name.split("/");
    const path = parts.filter((part) => part !== "").map(this.#safeSegment);
    return {
      // Each is a file, whatever it is.
      followMetalink: false,
      media: false,
      ...(size !== undefined && { size }),
      ...(digest &&
        digest.algorithm !== "crc32c" && { checksum: { algorithm: digest.algorithm, value: digest.value } }),
      ...(directory !== undefined && path.length > 0 && { output: join(directory, ...path) }),
    };
  }

  /** From the first place that has it. */
  async #read(
    request: DownloadRequest,
    signal: AbortSignal,
  ): Promise<{ readonly files: readonly DescribedFile[]; readonly namedBy: string }> {
    let thrown: unknown;
    for (const url of [request.url, ...request.mirrors]) {
      try {
        const document = await this.#documents.fetch(url, request, DOCUMENT.characters, signal);
        return { files: readMetalink(decode(document.bytes), DOCUMENT), namedBy: document.url };
      } catch (error) {
        signal.throwIfAborted();
        thrown ??= error;
      }
    }
    throw thrown;
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw failure("METALINK_INVALID", "the Metalink cannot be read: it is not UTF-8", { cause: error });
  }
}
