/**
 * Is this an image that may be shown? Its first bytes say what it is, not its name or the type that the server states; its
 * header says how much it unpacks to. SVG is refused: it is a document that can run scripts and ask for other URLs.
 */
import { failure } from "../core/errors.ts";
import { SIZE_READERS } from "./image-size.ts";
import { mediaType } from "./url-metadata.ts";

/** Pixels of the longest side, of the whole, and pictures in one file. */
const LONGEST_SIDE = 16_384;
const MOST_PIXELS = 64_000_000;
const MOST_FRAMES = 2000;
/** Pixels of all pictures together: each frame costs the work of the whole canvas. */
const MOST_FRAME_PIXELS = 1_000_000_000;

/** Types that servers state for what they do not know. */
const UNSTATED: ReadonlySet<string> = new Set([
  "application/octet-stream",
  "binary/octet-stream",
  "application/binary",
]);

/** An image that was checked. */
export interface CheckedImage {
  /** By the first bytes. */
  readonly contentType: string;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
}

/**
 * The stated type of an answer, before its body is read.
 *
 * @param host - for messages
 * @throws ResourceError NOT_AN_IMAGE
 */
export function checkStatedType(stated: string | undefined, host: string): void {
  const type = mediaType(stated);
  if (type === undefined || UNSTATED.has(type)) return;
  if (type === "image/svg+xml") throw notAnImage(host, "an SVG, which can hold scripts");
  if (!type.startsWith("image/")) throw notAnImage(host, `"${type}" where an image was asked for`);
}

/**
 * Checks the bytes. Another type of image than the stated one is taken for what it is.
 *
 * @throws ResourceError NOT_AN_IMAGE, IMAGE_TOO_LARGE
 */
export async function checkImage(bytes: Buffer, host: string): Promise<CheckedImage> {
  const contentType = await typeOf(bytes);
  const read = contentType === undefined ? undefined : SIZE_READERS[contentType];
  if (contentType === undefined || read === undefined)
    throw notAnImage(host, contentType ? `a file of ${contentType}` : "bytes that no image begins with");
  let size: ReturnType<typeof read>;
  try {
    size = read(bytes);
  } catch (error) {
    const why = error instanceof RangeError ? "its header is cut short" : (error as Error).message;
    throw failure("NOT_AN_IMAGE", `${host} sent a broken ${contentType}: ${why}`, { metadata: { host } });
  }
  const { width, height, frames } = size;
  if (width < 1 || height < 1)
    throw failure("NOT_AN_IMAGE", `${host} sent an image of ${width} x ${height} pixels`, { metadata: { host } });
  const pixels = width * height;
  const tooLarge = Math.max(width, height) > LONGEST_SIDE || pixels > MOST_PIXELS;
  if (tooLarge || frames > MOST_FRAMES || (frames > 1 && frames * pixels > MOST_FRAME_PIXELS))
    throw failure(
      "IMAGE_TOO_LARGE",
      `${host} sent an image of ${width} x ${height} pixels${frames > 1 ? ` in ${frames} pictures` : ""}; at most ` +
        `${LONGEST_SIDE} on a side, ${MOST_PIXELS} in all and ${MOST_FRAME_PIXELS} over all pictures are taken`,
      { metadata: { host, width: String(width), height: String(height), frames: String(frames) } },
    );
  return { contentType, width, height };
}

async function typeOf(bytes: Buffer): Promise<string | undefined> {
  // Loaded with the first image: most daemons see none.
  const { fileTypeFromBuffer } = await import("file-type");
  try {
    return (await fileTypeFromBuffer(bytes))?.mime;
  } catch {
    return undefined;
  }
}

function notAnImage(host: string, what: string): Error {
  return failure("NOT_AN_IMAGE", `${host} sent ${what}`, { metadata: { host } });
}
