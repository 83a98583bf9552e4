/**
 * What two ends of ICE tell each other before they are connected, in few bytes: user fragment, password, fingerprint of the
 * DTLS certificate, candidates. The library speaks SDP, of which 1.5 kB say the same in every session; a signal in the DHT
 * may have 700 bytes with all that is in it. So only what differs is sent, in binary, and SDP is made anew at the other end.
 * What was read is hostile: nothing of it gets into the SDP that is not of the few characters that belong there.
 */
import { isIP, isIPv4, SocketAddress } from "node:net";

/** A candidate, over UDP: whatever TCP can reach is tried without ICE. */
export interface IceCandidate {
  readonly type: "host" | "srflx" | "relay";
  /** RFC 8445 §5.1.2. */
  readonly priority: number;
  readonly address: string;
  readonly port: number;
}

/** What one end says. */
export interface IceSignal {
  readonly userFragment: string;
  readonly password: string;
  /** SHA-256 of the DTLS certificate, 32 bytes. */
  readonly fingerprint: Buffer;
  readonly candidates: readonly IceCandidate[];
}

const TYPES = ["host", "srflx", "relay"] as const;
/** More are not sent, nor taken. */
const MOST_CANDIDATES = 10;
/** In the first byte of a candidate. */
const IS_IPV6 = 4;
/** `ice-char` of RFC 8839 §5.4. */
const FRAGMENT = /^[A-Za-z0-9+/]{4,32}$/;
const PASSWORD = /^[A-Za-z0-9+/]{22,64}$/;

/** Reads what the library describes. Candidates over TCP, of link-local addresses and with names are left out. */
export function readDescription(sdp: string): IceSignal {
  const value = (name: string) => new RegExp(`^a=${name}:(\\S+)`, "m").exec(sdp)?.[1] ?? "";
  const fingerprint = /^a=fingerprint:sha-256 ([0-9A-F:]{95})/im.exec(sdp)?.[1] ?? "";
  const all = [...sdp.matchAll(/^a=candidate:\S+ 1 udp (\d+) (\S+) (\d+) typ (host|srflx|relay)/gim)].map((match) => ({
    type: match[4] as IceCandidate["type"],
    priority: Number(match[1]),
    address: match[2] as string,
    port: Number(match[3]),
  }));
  const usable = all.filter(({ address, port }) => isIP(address) !== 0 && port > 0 && !/^fe80:/i.test(address));
  const outside = usable.filter(({ address }) => !isLoopback(address));
  return {
    userFragment: value("ice-ufrag"),
    password: value("ice-pwd"),
    fingerprint: Buffer.from(fingerprint.replaceAll(":", ""), "hex"),
    candidates: pick(outside.length > 0 ? outside : usable),
  };
}

/** The best of each type: with many interfaces, neither the relay nor the outer address may fall out. */
function pick(candidates: readonly IceCandidate[]): IceCandidate[] {
  const sorted = candidates.toSorted((a, b) => b.priority - a.priority);
  const rank = new Map<IceCandidate, number>();
  for (const type of TYPES) for (const [n, one] of sorted.filter((c) => c.type === type).entries()) rank.set(one, n);
  return sorted.toSorted((a, b) => (rank.get(a) ?? 0) - (rank.get(b) ?? 0)).slice(0, MOST_CANDIDATES);
}

const isLoopback = (address: string) => address === "::1" || address.startsWith("127.");

/** Packs a signal: about 70 bytes, and 11 or 23 for each candidate. */
export function packSignal(signal: IceSignal): Buffer {
  const head = [signal.userFragment, signal.password].map((text) =>
    Buffer.concat([Buffer.of(text.length), Buffer.from(text)]),
  );
  const candidates = signal.candidates.map(({ type, priority, address, port }) => {
    const bytes = packAddress(address);
    const fixed = Buffer.alloc(7);
    fixed.writeUInt8(TYPES.indexOf(type) | (bytes.length === 16 ? IS_IPV6 : 0), 0);
    fixed.writeUInt32BE(priority, 1);
    fixed.writeUInt16BE(port, 5);
    return Buffer.concat([fixed, bytes]);
  });
  return Buffer.concat([...head, signal.fingerprint, Buffer.of(candidates.length), ...candidates]);
}

/** Unpacks what somebody sent; undefined if it is no signal. */
export function unpackSignal(bytes: Uint8Array): IceSignal | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const take = (length: number) => {
    const part = buffer.subarray(at, at + length);
    at += length;
    return part;
  };
  const text = () => take(take(1)[0] ?? 0).toString("latin1");
  const userFragment = text();
  const password = text();
  const fingerprint = Buffer.from(take(32));
  const count = take(1)[0] ?? 0;
  if (!FRAGMENT.test(userFragment) || !PASSWORD.test(password)) return undefined;
  if (fingerprint.length !== 32 || count > MOST_CANDIDATES) return undefined;
  const candidates: IceCandidate[] = [];
  for (let n = 0; n < count; n++) {
    const fixed = take(7);
    if (fixed.length < 7) return undefined;
    const kind = fixed.readUInt8(0);
    const address = unpackAddress(take(kind & IS_IPV6 ? 16 : 4), (kind & IS_IPV6) !== 0);
    const type = TYPES[kind & 3];
    const port = fixed.readUInt16BE(5);
    if (address === undefined || type === undefined || port === 0) return undefined;
    candidates.push({ type, priority: fixed.readUInt32BE(1), address, port });
  }
  return at === buffer.length ? { userFragment, password, fingerprint, candidates } : undefined;
}

/** The SDP that stands for a signal. @param setup - who begins DTLS (RFC 5763 §5) */
export function writeDescription(signal: IceSignal, setup: "actpass" | "active"): string {
  const fingerprint = (signal.fingerprint.toString("hex").toUpperCase().match(/../g) ?? []).join(":");
  return [
    "v=0",
    "o=- 1 1 IN IP4 0.0.0.0",
    "s=-",
    "t=0 0",
    "a=group:BUNDLE 0",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "c=IN IP4 0.0.0.0",
    "a=mid:0",
    `a=ice-ufrag:${signal.userFragment}`,
    `a=ice-pwd:${signal.password}`,
    `a=fingerprint:sha-256 ${fingerprint}`,
    `a=setup:${setup}`,
    "a=sctp-port:5000",
    "a=max-message-size:262144",
    ...signal.candidates.map(candidateLine),
    "",
  ].join("\r\n");
}

function candidateLine({ type, priority, address, port }: IceCandidate, index: number): string {
  const related = type === "host" ? "" : ` raddr ${isIPv4(address) ? "0.0.0.0" : "::"} rport 0`;
  return `a=candidate:${index + 1} 1 udp ${priority} ${address} ${port} typ ${type}${related}`;
}

/** 4 or 16 bytes of an address. */
export function packAddress(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split(".").map(Number));
  const [left = "", right] = address.split("::");
  const words = (part: string) =>
    part.split(":").flatMap((word) => {
      if (word === "") return [];
      if (!word.includes(".")) return [Number.parseInt(word, 16)];
      const bytes = packAddress(word);
      return [bytes.readUInt16BE(0), bytes.readUInt16BE(2)];
    });
  const head = words(left);
  const tail = right === undefined ? [] : words(right);
  const all = [...head, ...Array<number>(Math.max(0, 8 - head.length - tail.length)).fill(0), ...tail];
  const packed = Buffer.alloc(16);
  for (const [index, word] of all.slice(0, 8).entries()) packed.writeUInt16BE(word, index * 2);
  return packed;
}

/** The text of 4 or 16 bytes; undefined if there are fewer. */
export function unpackAddress(bytes: Buffer, ipv6: boolean): string | undefined {
  if (bytes.length !== (ipv6 ? 16 : 4)) return undefined;
  if (!ipv6) return bytes.join(".");
  const words = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16)).join(":");
  return new SocketAddress({ address: words, family: "ipv6" }).address;
}
