/**
 * WebRTC's data channels, as far as they are used here, by a library that need not be there: it is native and optional.
 * Loaded at the first use, since it costs memory; where it is missing, that is said.
 */
import { asDownloadError } from "../../core/errors.ts";

/** A server for ICE, as WebRTC's configuration has it. */
export interface IceServer {
  readonly urls: string;
  readonly username?: string;
  readonly credential?: string;
}

/** An ordered and reliable channel of messages (RFC 8831). */
export interface DataChannel {
  binaryType: string;
  bufferedAmountLowThreshold: number;
  /** Bytes that were handed over and have not left yet. */
  readonly bufferedAmount: number;
  readonly readyState: "connecting" | "open" | "closing" | "closed";
  onopen: (() => void) | null;
  onclose: (() => void) | null;
  onerror: (() => void) | null;
  onbufferedamountlow: (() => void) | null;
  onmessage: ((event: { readonly data: ArrayBuffer | string }) => void) | null;
  send(data: Uint8Array | string): void;
  close(): void;
}

/** A description in SDP (RFC 8866), of one end. */
interface SessionDescription {
  readonly type: "offer" | "answer";
  readonly sdp: string;
}

/** One line of the library's statistics; which fields there are depends on the type. */
interface IceStatistic {
  readonly id: string;
  readonly type: string;
  readonly selectedCandidatePairId?: string;
  readonly localCandidateId?: string;
  readonly remoteCandidateId?: string;
  readonly candidateType?: string;
  readonly relayProtocol?: string;
  readonly address?: string;
  readonly port?: number;
}

/** One end of a connection. */
export interface PeerConnection {
  readonly localDescription: SessionDescription | null;
  readonly iceGatheringState: string;
  readonly connectionState: "new" | "connecting" | "connected" | "disconnected" | "failed" | "closed";
  onicegatheringstatechange: (() => void) | null;
  onicecandidate: (() => void) | null;
  onconnectionstatechange: (() => void) | null;
  createDataChannel(label: string, options: { ordered: true; negotiated: true; id: number }): DataChannel;
  createOffer(): Promise<SessionDescription>;
  createAnswer(): Promise<SessionDescription>;
  setLocalDescription(description: SessionDescription): Promise<void>;
  setRemoteDescription(description: SessionDescription): Promise<void>;
  getStats(): Promise<ReadonlyMap<string, IceStatistic>>;
  close(): void;
}

/** How a connection is to be made. */
interface PeerConnectionOptions {
  readonly iceServers: readonly IceServer[];
  readonly iceTransportPolicy: "all" | "relay";
}

/** The library. */
export interface WebRtc {
  readonly RTCPeerConnection: new (options: PeerConnectionOptions) => PeerConnection;
}

/** Loads the library once, and remembers why it could not be. */
export class IceLibrary {
  readonly #load: () => Promise<unknown>;
  readonly #find: () => unknown;
  #library: Promise<WebRtc | undefined> | undefined;
  #problem: string | undefined;

  /**
   * @param load - imports the library
   * @param find - throws if it is not there
   */
  constructor(
    load: () => Promise<unknown> = () => import("@roamhq/wrtc"),
    find: () => unknown = () => import.meta.resolve("@roamhq/wrtc"),
  ) {
    this.#load = load;
    this.#find = find;
  }

  /** Why ICE and TURN cannot be used, for people; undefined: they can, or nobody has tried. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Looks whether it is there, without loading it: it takes memory. */
  look(): void {
    if (this.#library !== undefined || this.#problem !== undefined) return;
    try {
      this.#find();
    } catch (error) {
      this.#problem = missing(error);
    }
  }

  /** Undefined: it is not there, or does not run; see {@link problem}. */
  load(): Promise<WebRtc | undefined> {
    this.#library ??= this.#import();
    return this.#library;
  }

  async #import(): Promise<WebRtc | undefined> {
    try {
      const loaded = (await this.#load()) as { readonly default: WebRtc };
      return loaded.default;
    } catch (error) {
      this.#problem = missing(error);
      return undefined;
    }
  }
}

function missing(error: unknown): string {
  const [why] = asDownloadError(error).message.split("\n");
  return `ICE and TURN need the optional package @roamhq/wrtc, which is not installed or does not run on this system: ${why}`;
}
