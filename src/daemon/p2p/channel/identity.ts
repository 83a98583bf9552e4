/**
 * Who this machine is to its peers: an RSA key, made once, in one file with its certificate that only its owner may read.
 * The file is written aside and linked to its name: it is there whole or not at all, and of two processes that make one at
 * the same time both take the one that came first. A file that is not as it was left is never replaced: that is a person's
 * decision, since peers then know this machine as another one.
 */
import { createHash, createPrivateKey, createPublicKey, randomUUID, X509Certificate } from "node:crypto";
import { constants } from "node:fs";
import { link, mkdir, open, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { asDownloadError, type DownloadError, failure } from "../../core/errors.ts";
import { type KeyAndCertificate, makeKeyAndCertificate, publicKeyOf } from "./certificate.ts";

/** In its folder. */
export const IDENTITY_FILE = "identity.pem";

/** Larger ones are not ours. */
const LARGEST_FILE = 64 * 1024;

/** A key, and what is known by it. */
export interface Identity extends KeyAndCertificate {
  /** SPKI, DER. */
  readonly publicKey: Uint8Array;
  /** SHA-256 of it, lower-case hex. */
  readonly peerId: string;
}

/**
 * Reads the identity, and makes it first if there is none.
 *
 * @param directory - absolute; made (0700) if it is missing
 * @throws FileSystemError IDENTITY_INVALID if it is damaged, or others may read or change it; or that of the file system
 */
export async function loadIdentity(directory: string): Promise<Identity> {
  const path = join(directory, IDENTITY_FILE);
  try {
    const found = await read(path);
    if (found) return found;
    await make(directory, path);
    const made = await read(path);
    if (made) return made;
  } catch (error) {
    throw asDownloadError(error);
  }
  throw failure("IO_ERROR", `${path} went away while it was made`, { metadata: { path } });
}

/** @returns lower-case hex */
export function peerIdOf(publicKey: Uint8Array): string {
  return createHash("sha256").update(publicKey).digest("hex");
}

async function make(directory: string, path: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const { mode } = await stat(directory);
  if ((mode & 0o022) !== 0)
    throw invalid(directory, `others may write into its folder (mode ${octal(mode)})`, `chmod go-w ${directory}`);
  const { key, certificate } = await makeKeyAndCertificate();
  const draft = join(directory, `.${IDENTITY_FILE}.${randomUUID()}`);
  try {
    const file = await open(draft, "wx", 0o600);
    try {
      // The umask may have taken away what we need, and never gives more.
      await file.chmod(0o600);
      await file.writeFile(key + certificate);
      await file.sync();
    } finally {
      await file.close();
    }
    // Unlike a rename, this does not replace what another process has put there meanwhile.
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  } finally {
    await unlink(draft).catch(() => {});
  }
  const folder = await open(directory, constants.O_RDONLY);
  try {
    await folder.sync().catch(() => {});
  } finally {
    await folder.close();
  }
}

async function read(path: string): Promise<Identity | undefined> {
  // A pipe in its place would hold us up for good, a link would lead to whatever somebody likes.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    if (error.code === "ELOOP") throw invalid(path, "it is a symbolic link", "put the file itself in its place");
    throw error;
  });
  if (!file) return undefined;
  try {
    const { mode, uid, size } = await file.stat();
    const mine = process.getuid?.() ?? uid;
    if (!(await file.stat()).isFile()) throw invalid(path, "it is no regular file", AWAY);
    if (uid !== mine) throw invalid(path, `it belongs to user ${uid}, and this is user ${mine}`, AWAY);
    if ((mode & 0o077) !== 0)
      throw invalid(
        path,
        `others may read or change it (mode ${octal(mode)})`,
        `chmod 600 it if nobody has; otherwise ${AWAY}`,
      );
    if (size > LARGEST_FILE) throw invalid(path, `it has ${size} bytes`, AWAY);
    return parse(path, await file.readFile("utf8"));
  } finally {
    await file.close();
  }
}

function parse(path: string, text: string): Identity {
  try {
    const split = text.indexOf("-----BEGIN CERTIFICATE-----");
    if (split < 0) throw invalid(path, "there is no certificate in it", AWAY);
    const [key, certificate] = [text.slice(0, split), text.slice(split)];
    const privateKey = createPrivateKey(key);
    const publicKey = publicKeyOf(createPublicKey(privateKey));
    if (typeof publicKey === "string") throw invalid(path, publicKey, AWAY);
    if (!new X509Certificate(certificate).checkPrivateKey(privateKey))
      throw invalid(path, "its certificate is not that of its key", AWAY);
    return { key, certificate, publicKey, peerId: peerIdOf(publicKey) };
  } catch (error) {
    if (error instanceof Error && "metadata" in error) throw error;
    // What OpenSSL says of a key is nothing that a person could use.
    throw invalid(path, "it cannot be read as a key and its certificate: it is damaged", AWAY, error);
  }
}

const AWAY =
  "move it away, and a new one is made: peers then see this machine as another one, and codes stay as they are";

function invalid(path: string, why: string, what: string, cause?: unknown): DownloadError {
  const message = `the identity in ${path} cannot be used: ${why}. To do: ${what}`;
  return failure("IDENTITY_INVALID", message, { metadata: { path }, cause });
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(3, "0");
}
