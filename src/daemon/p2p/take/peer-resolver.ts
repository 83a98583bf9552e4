/**
 * `snatch:CODE` as a URL. The code is a secret: it is kept apart at once, and the session's URL names the share by its public
 * id. What it means is what the share's peers offer: a file, or a folder of files, each of which becomes a session of its own.
 */
import { isHostPort } from "../../../shared/address.ts";
import { failure } from "../../core/errors.ts";
import type { Plan } from "../../core/plan.ts";
import type { Resolver } from "../../core/ports/resolve.ts";
import type { Expansion } from "../../core/resolved.ts";
import type { DownloadRequest } from "../../core/session.ts";
import { readCode } from "../code.ts";
import { deriveKeys } from "../keys.ts";
import type { SecretStore } from "../secret-store.ts";
import { readShareUrl, type ShareUrl, shareUrl } from "../share-url.ts";
import type { SharedFiles } from "./file-lists.ts";
import { entryOf } from "./peer-source.ts";
import type { Swarms } from "./swarms.ts";

/** Peers that a person may name. */
const MOST_PEERS = 16;

/** What the resolver needs. */
export interface PeerResolverParts {
  /** Made when they are first needed. */
  readonly swarms: () => Promise<Pick<Swarms, "enter" | "use">>;
  readonly secrets: Pick<SecretStore, "keep">;
  /** As the configuration has it now. */
  readonly settings: () => { readonly enabled: boolean; readonly allowRemote: boolean };
}

/** Resolves codes. */
export class PeerResolver implements Resolver {
  readonly name = "peers";
  readonly #parts: PeerResolverParts;

  constructor(parts: PeerResolverParts) {
    this.#parts = parts;
  }

  claims(url: string): boolean {
    return /^snatch:/i.test(url);
  }

  /** @throws DownloadError CODE_INVALID; FileSystemError if the code cannot be kept */
  conceal(url: string): string {
    if (readShareUrl(url)) return url;
    const secret = readCode(url);
    const { publicId } = deriveKeys(secret);
    this.#parts.secrets.keep(publicId, secret);
    return shareUrl({ publicId, remote: false });
  }

  /** @throws DownloadError NETWORK_OFF, SHARE_NOT_FOUND, INVALID_ARGUMENT; ResourceError SHARE_REFUSED; NetworkError */
  async resolve({ url, options }: DownloadRequest, signal: AbortSignal): Promise<Plan | Expansion> {
    const remote = options.remote === true;
    this.#requireAllowed(remote);
    const named = readShareUrl(this.conceal(url));
    if (!named) throw failure("INVALID_URL", "that is no URL of a share");
    const explicit = (options.peers ?? []).map(checkPeer);
    if (explicit.length > MOST_PEERS)
      throw failure("INVALID_ARGUMENT", `${explicit.length} peers are named; at most ${MOST_PEERS} can be`);
    const swarms = await this.#parts.swarms();
    swarms.enter(named.publicId, { remote, explicit });
    using use = swarms.use(named.publicId, { remote, explicit, share: options.share === true });
    if (named.file !== undefined) use.swarm.join();
    const files = await use.swarm.files(signal);
    const { kind } = files.offer;
    if (kind === "folder" && named.file === undefined) return expansion(url, named.publicId, files);
    return plan({ publicId: named.publicId, file: named.file ?? 0, remote }, files);
  }

  #requireAllowed(remote: boolean): void {
    const { enabled, allowRemote } = this.#parts.settings();
    if (!enabled) throw failure("NETWORK_OFF", "fetching from peers is switched off (p2p.enabled)");
    if (remote && !allowRemote)
      throw failure("NETWORK_OFF", "callers over TCP may not fetch from peers (p2p.allow_remote)");
  }
}

/** @throws DownloadError INVALID_ARGUMENT */
function checkPeer(peer: string): string {
  if (isHostPort(peer)) return peer;
  throw failure(
    "INVALID_ARGUMENT",
    `${JSON.stringify(peer.slice(0, 100))} is not HOST:PORT, such as 192.168.1.5:40123`,
  );
}

/** One file: what every chunk of it has to be is known. */
function plan(url: ShareUrl, files: SharedFiles): Plan {
  const { kind, name } = files.offer;
  const entry = entryOf(files, url);
  const { manifest } = entry;
  return {
    candidates: [{ url: shareUrl(url), headers: [] }],
    manifest,
    size: entry.size,
    ...(kind === "folder"
      ? { filename: `${name}/${entry.name}`, nested: true, exact: true }
      : { filename: entry.name }),
    final: true,
    alone: true,
  };
}

/** A folder: its files, each under the folder's name. */
function expansion(namedBy: string, publicId: string, { offer, entries }: SharedFiles): Expansion {
  return {
    kind: "expansion",
    title: offer.name,
    namedBy,
    items: entries.map(({ name }, file) => ({ url: shareUrl({ publicId, file, remote: false }), title: name })),
  };
}
