/**
 * Reaching a peer by ICE (RFC 8445): UDP through NATs with the help of STUN, or a TURN server in between, over UDP or TCP.
 * The connection carries one data channel, which is a stream for whoever uses it; the TLS that both ends trust runs inside,
 * so the fingerprint of DTLS needs no more trust than the code's signalling gives it. Both ends gather their candidates
 * first and then say everything at once: the way that signals take is slow, and keeps only the last one.
 */
import { asDownloadError, type DownloadError, failure } from "../../core/errors.ts";
import type { PeerMode, PeerPath } from "../../core/peers.ts";
import type { Clock } from "../../core/ports/runtime.ts";
import type { PeerStream } from "../types.ts";
import type { DataChannel, IceServer, PeerConnection, WebRtc } from "./ice-library.ts";
import { type IceSignal, packSignal, readDescription, unpackSignal, writeDescription } from "./ice-signal.ts";
import { IceStream } from "./ice-stream.ts";

/** A relay, as the configuration has it. */
export interface TurnServer {
  /** "turn:HOST:PORT", with "?transport=udp" or "tcp" where only one is to be tried; "turns:…" for TLS. */
  readonly url: string;
  readonly username?: string | undefined;
  readonly credential?: string | undefined;
}

/** How ICE is used. */
export interface IceOptions {
  /** "host:port" each. */
  readonly stun: readonly string[];
  readonly turn: readonly TurnServer[];
  readonly mode: PeerMode;
  /** Addresses of the peer that are not to be asked, such as private ones for a caller from elsewhere. */
  readonly allows?: (address: string) => boolean;
  readonly clock: Clock;
}

/** One end that has gathered its candidates. Either `stream` ends well, or everything is closed. */
export interface IceEnd {
  /** For the other end; under 300 bytes mostly. */
  readonly signal: Buffer;
  /** Takes the peer's answer; only for the end that offered. @throws DownloadError PEER_MISBEHAVED */
  answer(signal: Uint8Array): Promise<void>;
  /** @throws NetworkError PEERS_UNREACHABLE: no pair of candidates works */
  readonly stream: Promise<PeerStream>;
  /** Safe to call again, and when the stream is in use: then it ends. */
  close(): void;
}

/** Longest time for gathering, in milliseconds: a STUN server that does not answer would take 10 s. */
const GATHER_MS = 4000;
/** From then on, what is most wanted is enough. */
const GATHER_ENOUGH_MS = 700;
/** Longest time from both signals to an open channel, in milliseconds. */
const CONNECT_MS = 30_000;
/** How long the path may be silent before the connection counts as lost: libwebrtc says "disconnected" after some 5 s. */
const SILENCE_MS = 5000;
/** The first pair that works need not be the one that stays: a relay may give way to a straight path, in milliseconds. */
const SETTLE_MS = 150;
const SETTLE_TIMES = 4;
/** How long the giver's end waits to be told which pair the taker's has chosen, in milliseconds. */
const TOLD_MS = 1500;
const PATHS: readonly PeerPath[] = ["ice", "relay-udp", "relay-tcp"];

/** Makes an offer: the taker's end. @throws the signal's reason */
export function offerIce(library: WebRtc, options: IceOptions, signal: AbortSignal): Promise<IceEnd> {
  return makeEnd(library, options, undefined, signal);
}

/** Answers an offer: the giver's end. @throws DownloadError PEER_MISBEHAVED if it is none; the signal's reason */
export function answerIce(
  library: WebRtc,
  options: IceOptions,
  offer: Uint8Array,
  signal: AbortSignal,
): Promise<IceEnd> {
  return makeEnd(library, options, offer, signal);
}

async function makeEnd(
  library: WebRtc,
  options: IceOptions,
  offer: Uint8Array | undefined,
  signal: AbortSignal,
): Promise<IceEnd> {
  signal.throwIfAborted();
  const remote = offer === undefined ? undefined : readSignal(offer, options);
  const connection = new library.RTCPeerConnection({
    iceServers: iceServers(options),
    iceTransportPolicy: options.mode === "relay-only" ? "relay" : "all",
  });
  const end = new End(connection, options, remote === undefined, signal);
  try {
    if (remote) await end.take("offer", remote);
    await end.gather(remote ? "answer" : "offer", signal);
  } catch (error) {
    end.close();
    throw error;
  }
  return end;
}

/** What the peer said, without what this end may not use. */
function readSignal(
  bytes: Uint8Array,
  options: IceOptions,
): { usable: IceSignal; relays: ReadonlyMap<string, PeerPath> } {
  const signal = unpackSignal(bytes);
  if (signal === undefined) throw failure("PEER_MISBEHAVED", "What the peer sent for ICE cannot be read.");
  const candidates = signal.candidates.filter(
    ({ type, address }) => (options.mode !== "no-relay" || type !== "relay") && (options.allows?.(address) ?? true),
  );
  const relays = signal.candidates.filter(({ type }) => type === "relay");
  return {
    usable: { ...signal, candidates },
    relays: new Map(relays.map((one) => [`${one.address} ${one.port}`, relayPath(one.priority)])),
  };
}

/** libwebrtc prefers relays that are reached by UDP (type preference 2) over TCP (1) and TLS (0). */
const relayPath = (priority: number): PeerPath => (priority >>> 24 === 2 ? "relay-udp" : "relay-tcp");

/** Where a URL names no transport, both are tried. */
function iceServers({ stun, turn, mode }: IceOptions): IceServer[] {
  if (mode === "lan-only") return [];
  const relays = turn.flatMap(({ url, username = "", credential = "" }) => {
    const urls =
      url.includes("?") || url.startsWith("turns:") ? [url] : [`${url}?transport=udp`, `${url}?transport=tcp`];
    return urls.map((one) => ({ urls: one, username, credential }));
  });
  // By a relay alone: nobody else needs to see us.
  if (mode === "relay-only") return relays;
  return [...stun.map((server) => ({ urls: `stun:${server}` })), ...(mode === "no-relay" ? [] : relays)];
}

/** The pair in use. */
interface Chosen {
  readonly path: PeerPath;
  readonly address: string;
  /** Our own relay, if it goes through one. */
  readonly own: PeerPath | undefined;
  /** The peer's address is one that it named. */
  readonly isNamed: boolean;
}

/** One end; see {@link IceEnd}. */
class End implements IceEnd {
  readonly stream: Promise<PeerStream>;
  readonly #connection: PeerConnection;
  readonly #options: IceOptions;
  readonly #channel: DataChannel;
  readonly #signal: AbortSignal;
  readonly #offers: boolean;
  readonly #outcome = Promise.withResolvers<PeerStream>();
  #relays: ReadonlyMap<string, PeerPath> = new Map();
  /** Both ends have addresses that need no relay. */
  #mayImprove = false;
  #local: Buffer = Buffer.alloc(0);
  #open: IceStream | undefined;
  #cancel: (() => void)[] = [];
  #silence: (() => void) | undefined;
  #closed = false;

  constructor(connection: PeerConnection, options: IceOptions, offers: boolean, signal: AbortSignal) {
    this.#offers = offers;
    this.#connection = connection;
    this.#options = options;
    this.#signal = signal;
    this.stream = this.#outcome.promise;
    this.stream.catch(() => undefined);
    this.#channel = connection.createDataChannel("snatch", { ordered: true, negotiated: true, id: 0 });
    this.#channel.onopen = () => void this.#opened();
    connection.onconnectionstatechange = () => this.#changed();
    const onAbort = () => this.close();
    signal.addEventListener("abort", onAbort, { once: true });
    this.#cancel.push(() => signal.removeEventListener("abort", onAbort));
  }

  get signal(): Buffer {
    return this.#local;
  }

  async take(type: "offer" | "answer", remote: ReturnType<typeof readSignal>): Promise<void> {
    this.#relays = remote.relays;
    this.#mayImprove =
      this.#options.mode !== "relay-only" && remote.usable.candidates.some(({ type }) => type === "srflx");
    const sdp = writeDescription(remote.usable, type === "offer" ? "actpass" : "active");
    await this.#connection.setRemoteDescription({ type, sdp });
    this.#cancel.push(this.#options.clock.timer(CONNECT_MS, () => this.#fail(unreachable("within 30 s"))));
  }

  async answer(signal: Uint8Array): Promise<void> {
    await this.take("answer", readSignal(signal, this.#options));
  }

  /** Describes this end and waits for what is worth telling. */
  async gather(type: "offer" | "answer", signal: AbortSignal): Promise<void> {
    const connection = this.#connection;
    const description = await (type === "offer" ? connection.createOffer() : connection.createAnswer());
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const read = () => readDescription(connection.localDescription?.sdp ?? "");
    let late = false;
    const look = () => {
      if (connection.iceGatheringState === "complete" || (late && this.#isEnough(read()))) resolve();
    };
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    connection.onicegatheringstatechange = look;
    connection.onicecandidate = look;
    const timers = [
      this.#options.clock.timer(GATHER_MS, resolve),
      this.#options.clock.timer(GATHER_ENOUGH_MS, () => {
        late = true;
        look();
      }),
    ];
    try {
      signal.throwIfAborted();
      await connection.setLocalDescription(description);
      await promise;
      this.#local = packSignal(read());
    } finally {
      for (const cancel of timers) cancel();
      signal.removeEventListener("abort", onAbort);
      connection.onicegatheringstatechange = null;
      connection.onicecandidate = null;
    }
  }

  /** A relay where there may be one; else the address outside. */
  #isEnough({ candidates }: IceSignal): boolean {
    const { turn, stun, mode } = this.#options;
    const wanted = turn.length > 0 && mode !== "no-relay" ? "relay" : stun.length > 0 ? "srflx" : "host";
    return candidates.some(({ type }) => type === wanted);
  }

  /** The end that offered chooses the pair (RFC 8445 §8.1.1), so it knows, and tells the other. */
  async #opened(): Promise<void> {
    const told = Promise.withResolvers<string | undefined>();
    const stream = new IceStream(this.#channel, { onWord: told.resolve, release: () => this.close() });
    // What breaks before anybody has the stream is told by the promise.
    stream.on("error", () => undefined);
    this.#open = stream;
    try {
      const chosen = await (this.#offers ? this.#settle() : this.#beTold(told));
      if (this.#closed) return;
      this.#checkMode(chosen);
      this.#stopWaiting();
      if (this.#offers) stream.sayWord(chosen.path);
      this.#outcome.resolve({ stream, path: chosen.path, remoteAddress: chosen.address });
    } catch (error) {
      this.#fail(asDownloadError(error));
    }
  }

  async #settle(): Promise<Chosen> {
    let chosen = await this.#readPath();
    for (let n = 0; n < SETTLE_TIMES && this.#mayImprove && chosen.path !== "ice"; n++) {
      await this.#options.clock.sleep(SETTLE_MS, this.#signal);
      chosen = await this.#readPath();
    }
    return chosen;
  }

  /** Waits for the taker's word, which comes before its first byte; the statistics of this end may lag. */
  async #beTold(told: PromiseWithResolvers<string | undefined>): Promise<Chosen> {
    const giveUp = () => told.resolve(undefined);
    this.#cancel.push(this.#options.clock.timer(TOLD_MS, giveUp), giveUp);
    const word = await told.promise;
    const path = PATHS.find((one) => one === word);
    const seen = await this.#readPath();
    if (this.#options.mode === "no-relay") {
      // A relay that is seen is one, whatever the taker says. Of an address that it did not name, such as one that its NAT
      // chose, only its word is there; that it hides a relay of its own nobody could tell from here.
      if (seen.path !== "ice") return seen;
      if (path === undefined && !seen.isNamed)
        throw unreachable("by a path of which the peer says that it has no relay");
    }
    return path === undefined ? seen : { ...seen, path };
  }

  /** Which pair was chosen. */
  async #readPath(): Promise<Chosen> {
    const statistics = [...(await this.#connection.getStats()).values()];
    const byId = new Map(statistics.map((one) => [one.id, one]));
    const transport = statistics.find(({ type }) => type === "transport");
    const pair = byId.get(transport?.selectedCandidatePairId ?? "");
    const local = byId.get(pair?.localCandidateId ?? "");
    const remote = byId.get(pair?.remoteCandidateId ?? "");
    const own =
      local?.candidateType === "relay" ? (local.relayProtocol === "udp" ? "relay-udp" : "relay-tcp") : undefined;
    const theirs = this.#relays.get(`${remote?.address} ${remote?.port}`);
    // The library keeps an address to itself that it learned from the peer's own packets.
    const address = remote?.address || (own && local?.address) || "";
    const isNamed = remote !== undefined && remote.candidateType !== "prflx";
    if (own === "relay-tcp" || theirs === "relay-tcp") return { path: "relay-tcp", address, own, isNamed };
    return { path: own ?? theirs ?? "ice", address, own, isNamed };
  }

  /** @throws NetworkError PEERS_UNREACHABLE */
  #checkMode({ path, own }: Chosen): void {
    const { mode } = this.#options;
    if (mode === "no-relay" && path !== "ice") throw unreachable("without a relay, which p2p.mode rules out");
    if (mode === "relay-only" && own === undefined) throw unreachable("through our own relay, as p2p.mode wants it");
  }

  /** "disconnected" may pass by itself; where it does not, the library takes long to say so. */
  #changed(): void {
    const state = this.#connection.connectionState;
    this.#silence?.();
    this.#silence = undefined;
    if (state === "failed") this.#fail(this.#open ? lost() : unreachable("with any pair of addresses"));
    else if (state === "disconnected") this.#silence = this.#options.clock.timer(SILENCE_MS, () => this.#fail(lost()));
    else if (state === "closed") this.#fail(lost());
  }

  #fail(error: DownloadError): void {
    if (this.#closed) return;
    this.#outcome.reject(error);
    this.#open?.destroy(error);
    this.close();
  }

  #stopWaiting(): void {
    for (const cancel of this.#cancel.splice(0)) cancel();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopWaiting();
    this.#silence?.();
    this.#outcome.reject(this.#signal.aborted ? this.#signal.reason : lost());
    this.#connection.onconnectionstatechange = null;
    this.#channel.onopen = null;
    this.#open?.destroy();
    this.#connection.close();
  }
}

const lost = () =>
  failure("CONNECTION_LOST", "The connection by ICE was lost: the peer or the relay does not answer any more.");
const unreachable = (how: string) => failure("PEERS_UNREACHABLE", `The peer could not be reached by ICE ${how}.`);
