/**
 * Strangers at a giver: who does not know the code, who stands between two that do, and who comes with another program. None
 * of them gets as much as a byte of application data, and both suites are exactly what they say.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { PeerSuite } from "../../../src/daemon/core/peers.ts";
import { FRAME, type ShareKeys } from "../../../src/daemon/p2p/types.ts";
import { type Intent, manInTheMiddle } from "../man-in-the-middle.ts";
import { type Giving, give, manager, openShare, someKeys, take } from "../peer-pair.ts";
import { selfSignedRsa } from "../rsa-certificate.ts";
import { type Finished, runProgram } from "../run-program.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { Findings, type Outcome } from "./outcome.ts";

/** Bytes of what begins a channel. */
const HELLO = 40;

/** What TLS 1.3 and 1.2 call the suites. */
const NAMES: Readonly<Record<PeerSuite, string>> = {
  modern: "TLS_AES_256_GCM_SHA384",
  classic: "DHE-RSA-AES256-SHA256",
};

/** A giver that tells a name as soon as somebody has proved the code. */
async function talkative(suite: PeerSuite, keys: ShareKeys): Promise<Giving> {
  const giving = await give(manager("giver", suite), [openShare(someKeys()), openShare(keys)]);
  void (async () => {
    for (;;) {
      const channel = await giving.next();
      channel.start({ frame() {}, data() {}, closed() {} });
      void channel.send(FRAME.offer, Buffer.from(JSON.stringify({ name: "secret name.txt" })));
    }
  })();
  return giving;
}

/** Code of an error, or that there was none. */
async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "none",
    (error) => (error as { code?: string }).code ?? String(error),
  );
}

/** A taker with another code, which is not even told that it is another one. */
export async function wrongCode(suite: PeerSuite): Promise<Outcome> {
  const findings = new Findings();
  await using giving = await talkative(suite, someKeys());
  const [taken, refused] = await Promise.all([
    codeOf(take(manager("taker", suite), giving.port, someKeys())),
    codeOf(giving.nextRefusal().then((error) => Promise.reject(error))),
  ]);
  findings.note("taker", taken);
  findings.note("giver", refused);
  findings.expect(taken === "PEER_REFUSED" && refused === "PEER_REFUSED", "a wrong code is not refused at both ends");
  findings.expect(giving.counts.accepted === 0, "somebody was let in");
  return findings.outcome();
}

/** Somebody in between who hands on what he hears, sends proofs back, or sends those of another connection. */
export async function between(suite: PeerSuite): Promise<Outcome> {
  const findings = new Findings();
  const keys = someKeys();
  await using giving = await talkative(suite, keys);
  // A proof that was right, of a connection of its own: from a taker that called him with the right code.
  let recorded: Buffer = Buffer.alloc(0);
  const intents: Readonly<Record<string, Intent>> = {
    forwards: {},
    replays: { toGiver: () => recorded },
    reflects: { toTaker: (heard) => heard },
    "answers with zeros": { toTaker: () => Buffer.alloc(HELLO) },
  };
  for (const [name, intent] of Object.entries(intents)) {
    await using middle = await manInTheMiddle(giving.port, suite, intent);
    const taken = await codeOf(take(manager("taker", suite), middle.port, keys));
    const refused = await codeOf(giving.nextRefusal().then((error) => Promise.reject(error)));
    recorded = middle.heard.taker;
    findings.note(
      name,
      `taker ${taken}, giver ${refused}; heard ${middle.heard.taker.length}+${middle.heard.giver.length} B`,
    );
    findings.expect(middle.connections === 1, `${name}: TLS did not stand at both sides`);
    findings.expect(taken === "PEER_REFUSED", `${name}: the taker ends with ${taken}`);
    findings.expect(refused === "PEER_REFUSED", `${name}: the giver ends with ${refused}`);
    findings.expect(middle.heard.taker.length === HELLO, `${name}: the taker said more than its proof`);
    findings.expect(middle.heard.giver.length === 0, `${name}: the giver said something`);
  }
  findings.expect(giving.counts.accepted === 0, "somebody was let in");
  return findings.outcome();
}

/** `openssl s_client`, with a certificate and without, with and without words of its own. */
export async function foreignClient(suite: PeerSuite): Promise<Outcome> {
  const findings = new Findings();
  await using giving = await talkative(suite, someKeys());
  await using folder = await temporaryFolder();
  const [key, cert] = [join(folder.path, "key.pem"), join(folder.path, "cert.pem")];
  const own = selfSignedRsa();
  await Promise.all([writeFile(key, own.key), writeFile(cert, own.cert)]);
  const certificate = ["-key", key, "-cert", cert];
  const words = Buffer.concat([Buffer.from("snatch\x01\0"), Buffer.alloc(32)]);
  const ways: Readonly<Record<string, readonly [args: readonly string[], input: Uint8Array]>> = {
    "no certificate": [[], words],
    "a certificate, zeros for a proof": [certificate, words],
    "a certificate, HTTP": [certificate, Buffer.from(`GET / HTTP/1.1\r\nHost: localhost\r\n\r\n${"x".repeat(100)}`)],
    "a certificate, 4 GiB announced": [certificate, Buffer.alloc(64, 0xff)],
  };
  for (const [name, [args, input]] of Object.entries(ways)) {
    const [{ stdout }, refusal] = await Promise.all([
      client(giving.port, ["-quiet", ...args], input),
      giving.nextRefusal(),
    ]);
    findings.note(name, `${stdout.length} B of application data; ${(refusal as { code?: string }).code}`);
    findings.expect(stdout.length === 0, `${name}: gets ${JSON.stringify(stdout.slice(0, 100))}`);
  }
  findings.expect(giving.counts.accepted === 0, "somebody was let in");
  return findings.outcome();
}

/** What is negotiated: the one suite, and nothing else. */
export async function suites(): Promise<Outcome> {
  const findings = new Findings();
  for (const suite of Object.keys(NAMES) as PeerSuite[]) {
    const keys = someKeys();
    await using giving = await talkative(suite, keys);
    const channel = await take(manager("taker", suite), giving.port, keys);
    channel.close();
    const tries: Readonly<Record<string, readonly [args: readonly string[], fits: boolean]>> = {
      "TLS 1.3": [["-tls1_3"], suite === "modern"],
      "TLS 1.2, any": [["-tls1_2"], suite === "classic"],
      "TLS 1.2, ECDHE-RSA-AES256-GCM-SHA384": [["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"], false],
      "TLS 1.2, AES256-SHA256": [["-tls1_2", "-cipher", "AES256-SHA256"], false],
      "TLS 1.1": [["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], false],
    };
    const got: string[] = [];
    for (const [name, [args, fits]] of Object.entries(tries)) {
      const [{ stdout }] = await Promise.all([client(giving.port, args, Buffer.alloc(HELLO)), giving.nextRefusal()]);
      const cipher = /Cipher is (\S+)/.exec(stdout)?.[1] ?? "";
      const stands = cipher !== "" && cipher !== "(NONE)";
      if (stands) got.push(`${name}: ${cipher}`);
      findings.expect(stands === fits, `${suite}: ${name} ${stands ? "stands" : "does not stand"}`);
      if (fits) findings.expect(cipher === NAMES[suite], `${suite}: ${cipher} is negotiated`);
    }
    findings.note(suite, `${channel.suite}; openssl s_client: ${got.join(", ")}`);
    findings.expect(channel.suite === NAMES[suite], `${suite}: the channel has ${channel.suite}`);
  }
  const keys = someKeys();
  await using giving = await talkative("modern", keys);
  const mixed = await codeOf(take(manager("taker", "classic"), giving.port, keys));
  findings.note("classic calls modern", mixed);
  findings.expect(mixed === "TLS_FAILED", "two suites do not say so");
  return findings.outcome();
}

/** Runs `openssl s_client` until the other end has closed. */
function client(port: number, args: readonly string[], input: Uint8Array): Promise<Finished> {
  const rest = ["-connect", `127.0.0.1:${port}`, "-ign_eof", ...args];
  return runProgram("openssl", ["s_client", ...rest], { input, timeoutMs: 20_000 });
}
