/**
 * The bearer token of callers over TCP (RFC 6750 §2.1). It lies in a file that only its owner can read; a token that
 * others could have read is not used.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { ServerInterceptingCall, type ServerInterceptor } from "@grpc/grpc-js";
import { failure } from "../core/errors.ts";
import type { Logger } from "../core/ports/runtime.ts";
import { toServiceError } from "./status.ts";

const TOKEN_BYTES = 32;
/** A token that a person wrote is refused below this length. */
const SHORTEST_TOKEN = 16;

/**
 * Reads the token, and makes it first if the file does not exist: 32 random bytes in base64url, mode 0600.
 *
 * @throws DownloadError CONFIG_INVALID if others can read the file, or it holds no token; those of the file system
 */
export async function loadToken(file: string): Promise<string> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const token = randomBytes(TOKEN_BYTES).toString("base64url");
  try {
    await using made = await open(file, "wx", 0o600);
    await made.writeFile(`${token}\n`);
    await made.sync();
    return token;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  // Rights are asked of the open file, so that what is checked is what is read.
  await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const { mode, uid } = await handle.stat();
  if ((mode & constants.S_IFMT) !== constants.S_IFREG) throw refused(file, "is not a regular file");
  if ((mode & 0o077) !== 0)
    throw refused(file, `can be read by others (mode ${(mode & 0o777).toString(8)}); run: chmod 600 '${file}'`);
  if (uid !== process.getuid?.() && uid !== 0) throw refused(file, `belongs to another user (${uid})`);
  const text = (await handle.readFile("utf8")).trim();
  if (!/^[\x21-\x7e]+$/.test(text) || text.length < SHORTEST_TOKEN)
    throw refused(file, `holds no token of at least ${SHORTEST_TOKEN} visible characters; remove it to get a new one`);
  return text;
}

const refused = (file: string, why: string) =>
  failure("CONFIG_INVALID", `token_file: ${file} ${why}`, { metadata: { key: "token_file", path: file } });

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Compares by digests: the time depends neither on the text nor on its length. */
export function tokenMatcher(token: string): (authorization: string | undefined) => boolean {
  const expected = digest(token);
  return (authorization) => {
    const given = /^bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
    return given !== undefined && timingSafeEqual(digest(given), expected);
  };
}

/** Ends every call without the token before its message is read. */
export function requireToken(token: string, logger: Logger): ServerInterceptor {
  const matches = tokenMatcher(token);
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMetadata(metadata, proceed) {
            const given = metadata.get("authorization")[0]?.toString();
            if (matches(given)) return proceed(metadata);
            logger.warn({ peer: call.getPeer(), method: method.path }, "call refused: wrong or missing token");
            const why = given === undefined ? "the call carries no token" : "the token is wrong";
            call.sendStatus(toServiceError(failure("UNAUTHENTICATED", why), logger, method.path));
          },
        });
      },
    });
}
