/** An RSA key of 3072 bits with a certificate of its own, made once for each process, and TLS as the two suites have it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Certificate } from "./certificate.ts";

/** For Node's TLS, as strangers would write it. */
export const TLS_OPTIONS = {
  modern: { minVersion: "TLSv1.3", maxVersion: "TLSv1.3", ciphers: "TLS_AES_256_GCM_SHA384" },
  classic: { minVersion: "TLSv1.2", maxVersion: "TLSv1.2", ciphers: "DHE-RSA-AES256-SHA256", dhparam: "auto" },
} as const;

const made = new Map<string, Certificate>();

/** Makes it with OpenSSL at the first call. @param kind - as `openssl req -newkey` takes it */
export function selfSignedRsa(kind = "rsa:3072"): Certificate {
  const known = made.get(kind);
  if (known) return known;
  const folder = mkdtempSync(join(tmpdir(), "snatch-certificate-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  try {
    const files = ["-keyout", key, "-out", cert];
    execFileSync("openssl", ["req", "-x509", "-newkey", kind, "-nodes", "-days", "2", "-subj", "/CN=x", ...files], {
      stdio: "ignore",
    });
    const certificate = { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
    made.set(kind, certificate);
    return certificate;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
