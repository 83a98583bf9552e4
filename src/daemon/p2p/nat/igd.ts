/**
 * A UPnP internet gateway, spoken to in SOAP (UPnP Device Architecture 2.0, §2 and §3). Anybody in the local network may
 * pretend to be one, or is one that is broken: addresses, sizes and times are bounded, and of the XML only the few elements
 * that are wanted are read, without entities.
 */
import { request } from "node:http";
import { BlockList, isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";
import { MappingError } from "./port-mapper.ts";

/** Of a description or an answer, in bytes. */
const LONGEST_ANSWER = 256 * 1024;

/** For one request, in milliseconds. */
const TIMEOUT_MS = 4000;

/** What opens ports, the best first. */
const SERVICES = [
  "urn:schemas-upnp-org:service:WANIPConnection:2",
  "urn:schemas-upnp-org:service:WANIPConnection:1",
  "urn:schemas-upnp-org:service:WANPPPConnection:1",
];

/** A gateway's answer to an action: its out-arguments. */
export type SoapAnswer = Readonly<Record<string, string>>;

/** An error of the gateway (UPnP Device Architecture 2.0, §3.2.2). */
export class SoapFault extends MappingError {
  readonly code: number;

  constructor(code: number, action: string, description: string) {
    const said = description.replace(/[^\x20-\x7e]/g, "?").slice(0, 100);
    // 718 ConflictInMappingEntry, 729 ConflictWithOtherMechanisms.
    super(code === 718 || code === 729 ? "taken" : "refused", `the router refused ${action}: ${code} ${said}`.trim());
    this.name = "SoapFault";
    this.code = code;
  }
}

/** The service of a gateway that opens ports. */
export class Gateway {
  readonly #control: URL;
  readonly #service: string;

  private constructor(control: URL, service: string) {
    this.#control = control;
    this.#service = service;
  }

  /** Reads a description. @throws MappingError if it is none; the signal's reason */
  static async describe(location: string, signal: AbortSignal): Promise<Gateway> {
    const url = URL.parse(location);
    if (url?.protocol !== "http:") throw new MappingError("absent", "a router names a place that is no http URL");
    const { status, text } = await exchange(url, signal);
    if (status !== 200) throw new MappingError("absent", `the router answered its description with ${status}`);
    const services = blocks(text, "service");
    for (const wanted of SERVICES) {
      const service = services.find((one) => element(one, "serviceType") === wanted);
      const path = service === undefined ? "" : element(service, "controlURL");
      if (path === "") continue;
      const control = URL.parse(path, URL.parse(element(text, "URLBase"))?.href ?? url.href);
      // It may not have us send anything to others.
      if (control?.protocol !== "http:" || control.hostname !== url.hostname) continue;
      return new Gateway(control, wanted);
    }
    throw new MappingError("absent", "the router's description names no service that opens ports");
  }

  /** Calls an action. @throws SoapFault; MappingError; the signal's reason */
  async run(
    action: string,
    args: readonly (readonly [string, string | number])[],
    signal: AbortSignal,
  ): Promise<SoapAnswer> {
    const parts = args.map(([name, value]) => `<${name}>${escaped(String(value))}</${name}>`).join("");
    const body =
      '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" ' +
      's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>' +
      `<u:${action} xmlns:u="${this.#service}">${parts}</u:${action}></s:Body></s:Envelope>`;
    const { status, text } = await exchange(this.#control, signal, {
      body,
      headers: { "content-type": 'text/xml; charset="utf-8"', soapaction: `"${this.#service}#${action}"` },
    });
    if (status === 200)
      return Object.fromEntries(
        text
          .matchAll(/<(New[A-Za-z0-9]{1,40})(?:\s[^<>]*)?>([^<]*)<\//g)
          .map(([, name = "", value = ""]) => [name, value.trim()]),
      );
    const code = Number(element(text, "errorCode"));
    if (Number.isInteger(code) && code > 0) throw new SoapFault(code, action, element(text, "errorDescription"));
    throw new MappingError("refused", `the router answered ${action} with ${status}`);
  }
}

/**
 * May a device that was found through the interface with this address be there? Only in the same network: it must not have
 * us call others.
 */
export function isNeighbour(location: string, localAddress: string): boolean {
  const host = URL.parse(location)?.hostname ?? "";
  if (!isIPv4(host)) return false;
  const interfaces = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const own = interfaces.find(({ address }) => address === localAddress);
  if (own?.cidr == null || own.family !== "IPv4") return false;
  const network = new BlockList();
  network.addSubnet(own.address, Number(own.cidr.split("/")[1]), "ipv4");
  return network.check(host);
}

interface Exchange {
  readonly status: number;
  readonly text: string;
}

/** A request, a POST if there is a body. @throws MappingError; the signal's reason */
function exchange(
  url: URL,
  signal: AbortSignal,
  post?: { readonly body: string; readonly headers: Readonly<Record<string, string>> },
): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
    const fail = (cause: unknown) => {
      if (signal.aborted) return reject(signal.reason);
      if (cause instanceof MappingError) return reject(cause);
      const why = limit.aborted ? `gives no whole answer for ${TIMEOUT_MS / 1000} s` : (cause as Error).message;
      reject(new MappingError("absent", `the router at ${url.host}: ${why}`, { cause }));
    };
    if (signal.aborted) return reject(signal.reason);
    const headers = {
      ...post?.headers,
      connection: "close",
      ...(post && { "content-length": Buffer.byteLength(post.body) }),
    };
    // An agent of nobody: no connection is kept. Redirects are not followed.
    const outgoing = request(url, {
      method: post ? "POST" : "GET",
      headers,
      agent: false,
      signal: limit,
      maxHeaderSize: 8192,
    });
    outgoing.on("error", fail);
    outgoing.on("response", (incoming) => {
      const pieces: Buffer[] = [];
      let size = 0;
      incoming.on("error", fail);
      incoming.on("data", (bytes: Buffer) => {
        size += bytes.length;
        if (size > LONGEST_ANSWER)
          return void outgoing.destroy(new MappingError("absent", `the router at ${url.host} answers without end`));
        pieces.push(bytes);
      });
      incoming.on("end", () =>
        resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(pieces).toString("utf8") }),
      );
    });
    outgoing.end(post?.body);
  });
}

/** Contents of all elements of a name; the names of these documents do not nest in themselves. */
function blocks(text: string, name: string): string[] {
  const found: string[] = [];
  for (let at = 0; found.length < 64; ) {
    const start = text.indexOf(`<${name}>`, at);
    const end = start === -1 ? -1 : text.indexOf(`</${name}>`, start);
    if (end === -1) break;
    found.push(text.slice(start + name.length + 2, end));
    at = end;
  }
  return found;
}

/** Text of the first element of a name, or "". */
function element(text: string, name: string): string {
  return (blocks(text, name)[0] ?? "").trim();
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
