/**
 * The certificate that carries a peer's public key through TLS (X.509, RFC 5280). Nobody signs it but the key itself: names
 * and dates in it mean nothing, and it says nothing of its owner; what counts is the key. So it is always the same but for
 * key, serial number and signature, and is written here in DER rather than by a library that would be loaded for it.
 */
import { generateKeyPair, type KeyObject, randomBytes, sign, X509Certificate } from "node:crypto";
import { promisify } from "node:util";

/** The shortest key that is taken, in bits (NIST SP 800-131A), and the longest: larger ones only cost time. */
const KEY_BITS = { least: 2048, most: 8192, own: 3072 } as const;

/** Tags of ASN.1, in DER (X.690). */
const TAG = { integer: 0x02, bits: 0x03, null: 0x05, oid: 0x06, utf8: 0x0c, sequence: 0x30, set: 0x31 } as const;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
/** The version stands in a tag of its own (RFC 5280 §4.1). */
const VERSION = 0xa0;

/** sha256WithRSAEncryption (RFC 8017 §A.2.4): 1.2.840.113549.1.1.11. */
const SHA256_WITH_RSA = Buffer.from("2a864886f70d01010b", "hex");
/** The common name (X.520): 2.5.4.3. */
const COMMON_NAME = Buffer.from("550403", "hex");

/** A key, and a certificate for it, in PEM. */
export interface KeyAndCertificate {
  readonly key: string;
  readonly certificate: string;
}

/** Makes an RSA key of 3072 bits and its certificate; takes a second or so, not of this thread. */
export async function makeKeyAndCertificate(): Promise<KeyAndCertificate> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)("rsa", { modulusLength: KEY_BITS.own });
  const algorithm = sequence(der(TAG.oid, SHA256_WITH_RSA), der(TAG.null));
  const name = sequence(der(TAG.set, sequence(der(TAG.oid, COMMON_NAME), der(TAG.utf8, Buffer.from("snatch")))));
  // Positive, whatever the bytes are.
  const serial = Buffer.concat([Buffer.of(1), randomBytes(15)]);
  // Clocks of peers are wrong, and the dates are to tell nothing; the second is RFC 5280's for "no end" (§4.1.2.5).
  const dates = [der(UTC_TIME, Buffer.from("200101000000Z")), der(GENERALIZED_TIME, Buffer.from("99991231235959Z"))];
  const content = sequence(
    der(VERSION, der(TAG.integer, Buffer.of(2))),
    der(TAG.integer, serial),
    algorithm,
    name,
    sequence(...dates),
    name,
    publicKey.export({ type: "spki", format: "der" }),
  );
  const signature = der(TAG.bits, Buffer.of(0), sign("sha256", content, privateKey));
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    certificate: new X509Certificate(sequence(content, algorithm, signature)).toString(),
  };
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(TAG.sequence, ...parts);
}

/** Tag, length, content. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), content]);
}

/**
 * The public key as peers are known by it: SPKI, DER.
 *
 * @returns a text that says why, if it is none that is taken: RSA, 2048 to 8192 bits
 */
export function publicKeyOf(source: X509Certificate | KeyObject): Buffer | string {
  const key = source instanceof X509Certificate ? source.publicKey : source;
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (key.asymmetricKeyType !== "rsa") return `its key is ${key.asymmetricKeyType}, not RSA`;
  if (bits < KEY_BITS.least || bits > KEY_BITS.most)
    return `its RSA key has ${bits} bits; ${KEY_BITS.least} to ${KEY_BITS.most} are taken`;
  return key.export({ type: "spki", format: "der" });
}
