/** What a giver says to a peer when something is wrong, and the small numbers in its frames. */
import { type DownloadError, failure } from "../../core/errors.ts";

/** The number that a frame begins with. @throws DownloadError PEER_MISBEHAVED if the frame is not that long */
export function readNumber(payload: Buffer, length: number): number {
  if (payload.length !== length) throw misbehaved(`a frame has ${payload.length} bytes, not ${length}`);
  return payload.readUInt32BE(0);
}

/** 32 bits, big-endian. */
export function number32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A peer is told what it can do something about: paths and other particulars of this machine are not among that. */
export function forPeer(error: DownloadError): DownloadError {
  const { code } = error;
  if (code === "PEER_MISBEHAVED" || code === "PEER_REFUSED" || code === "TIMED_OUT") return error;
  if (code === "SHARE_CHANGED") return changed();
  return failure("PEER_REFUSED", "whoever shares it cannot read it now");
}

/** Of a refusal: code and message as JSON. */
export function words(error: DownloadError): Buffer {
  const { code, message } = forPeer(error);
  return Buffer.from(JSON.stringify({ code, message }));
}

/** It broke the protocol. */
export const misbehaved = (why: string): DownloadError => failure("PEER_MISBEHAVED", why);

/** A file is another one by now. */
export const changed = (): DownloadError => failure("SHARE_CHANGED", "the file is not what it was when it was shared");
