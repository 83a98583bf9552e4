/**
 * Ports by UPnP: the router is found by SSDP and asked in the library `nat-upnp`, whose requests go through the bounds of
 * igd.ts. The library is loaded when a port is wanted for the first time.
 */
import type { RemoteInfo, Socket } from "node:dgram";
import { isIP } from "node:net";
import type { Client } from "nat-upnp";
import type { Clock } from "../../core/ports/runtime.ts";
import { Gateway, isNeighbour, SoapFault } from "./igd.ts";
import { type MappedPort, MappingError, type PortMapper, requirePorts } from "./port-mapper.ts";

/** Devices to look for; a newer one answers to the older name too (UPnP Device Architecture 2.0, §1.3.2). */
const DEVICES = [1, 2].map((version) => `urn:schemas-upnp-org:device:InternetGatewayDevice:${version}`);

/** Datagrams get lost: the search is repeated after so many milliseconds. */
const SEARCHES_MS = [0, 500, 1500];

/** Until no router is assumed, in milliseconds: routers may wait for a second before they answer (MX). */
const SEARCH_MS = 3000;

/** Devices that are looked at. */
const MOST_DEVICES = 4;

/** Datagrams of a source that are read during a search, sources, and bytes of one: an answer is a few header fields. */
const MOST_DATAGRAMS = 16;
const MOST_SOURCES = 64;
const LONGEST_DATAGRAM = 2048;

const DESCRIPTION = "snatch";
const DEFAULT_LIFETIME = 1200;

/** A router, and this machine's address in its network. */
interface Router {
  readonly client: Client;
  readonly gateway: Gateway;
  readonly address: string;
}

/** Opens ports by UPnP. */
export class UPnPManager implements PortMapper {
  readonly name = "upnp";
  readonly #clock: Clock;
  readonly #mapped = new Map<number, number>();
  #router: Router | undefined;
  #problem: string | undefined;

  constructor({ clock }: { readonly clock: Clock }) {
    this.#clock = clock;
  }

  /** Why the last {@link mapPort} answered false. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /**
   * Opens a TCP port for twenty minutes, and until then again when it is called again; closed at disposal.
   *
   * @param externalPort - default: the same
   * @returns false if it cannot be; {@link problem} says why
   */
  async mapPort(internalPort: number, externalPort: number = internalPort): Promise<boolean> {
    try {
      await this.map(internalPort, externalPort, DEFAULT_LIFETIME, AbortSignal.timeout(15_000));
      this.#mapped.set(externalPort, internalPort);
      this.#problem = undefined;
      return true;
    } catch (error) {
      this.#problem = error instanceof Error ? error.message : String(error);
      return false;
    }
  }

  async map(internalPort: number, externalPort: number, lifetime: number, signal: AbortSignal): Promise<MappedPort> {
    requirePorts(internalPort, externalPort);
    return this.#with(signal, async (router) => {
      // Some routers give a port that is another machine's to whoever asks last.
      const holder = await this.#holder(router, externalPort, signal);
      const isOurs = holder === undefined || holder === `${router.address}:${internalPort}`;
      if (!isOurs) throw new MappingError("taken", `the router's port ${externalPort} leads to ${holder} already`);
      const create = (ttl: number) =>
        router.client.createMapping({
          // A host of its own: with none the library writes "undefined", and the router lets nobody in.
          public: { port: externalPort, host: "" },
          private: { port: internalPort, host: router.address },
          protocol: "TCP",
          description: DESCRIPTION,
          ttl,
        });
      try {
        await create(lifetime);
        return { externalPort, lifetime };
      } catch (error) {
        // OnlyPermanentLeasesSupported: it is removed at the end, and would stay if we do not get to it.
        if (!(error instanceof SoapFault && error.code === 725)) throw error;
        await create(0);
        return { externalPort, lifetime: 0 };
      }
    });
  }

  async unmap(internalPort: number, externalPort: number, signal: AbortSignal): Promise<void> {
    // Nothing was mapped by a router that was not found, and one that fell silent is not searched for again to be told.
    if (this.#router === undefined) return;
    await this.#with(signal, async (router) => {
      // Forgotten by the router, the port may be somebody else's by now, and not every router minds who removes it.
      const holder = await this.#holder(router, externalPort, signal);
      if (holder !== undefined && holder !== `${router.address}:${internalPort}`) return;
      await router.client.removeMapping({ public: { port: externalPort, host: "" }, protocol: "TCP" });
    });
  }

  externalAddress(signal: AbortSignal): Promise<string> {
    return this.#with(signal, async ({ client }) => {
      const address = await client.getPublicIp();
      // Whatever a router without one says, such as nothing.
      return isIP(address) === 0 ? "" : address;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const mapped = [...this.#mapped];
    this.#mapped.clear();
    const signal = AbortSignal.timeout(2000);
    await Promise.allSettled(mapped.map(([external, internal]) => this.unmap(internal, external, signal)));
    this.#router = undefined;
  }

  /** Does something with the router; one that does not answer any more is forgotten, and looked for at the next call. */
  async #with<T>(signal: AbortSignal, action: (router: Router) => Promise<T>): Promise<T> {
    const router = this.#router ?? (await this.#find(signal));
    this.#router = router;
    // The library's calls take no signal: the gateway behind them does.
    current.set(router, signal);
    try {
      return await action(router);
    } catch (error) {
      if (error instanceof MappingError && error.kind === "absent") this.#router = undefined;
      throw error;
    }
  }

  /** Where a port leads now. @returns "address:port"; undefined if nowhere, or the router does not say */
  async #holder({ gateway }: Router, externalPort: number, signal: AbortSignal): Promise<string | undefined> {
    const args = [
      ["NewRemoteHost", ""],
      ["NewExternalPort", externalPort],
      ["NewProtocol", "TCP"],
    ] as const;
    try {
      const entry = await gateway.run("GetSpecificPortMappingEntry", args, signal);
      const { NewInternalClient: host, NewInternalPort: port } = entry;
      return host && port ? `${host}:${port}` : undefined;
    } catch (error) {
      if (error instanceof SoapFault) return undefined;
      throw error;
    }
  }

  async #find(signal: AbortSignal): Promise<Router> {
    const { Client, Device } = await import("nat-upnp");
    signal.throwIfAborted();
    const client = new Client();
    const close = hardened(client);
    const timers: (() => void)[] = [];
    const found = new AbortController();
    let problem: unknown;
    try {
      return await new Promise<Router>((resolve, reject) => {
        const seen = new Set<string>();
        const onDevice = (headers: Record<string, string>, address: string) => {
          const location = headers["location"] ?? "";
          if (seen.has(location) || seen.size >= MOST_DEVICES || !isNeighbour(location, address)) return;
          seen.add(location);
          Gateway.describe(location, signal).then(
            (gateway) => {
              const device = new Device(location);
              const router: Router = { client, gateway, address };
              device.run = async (action, args) => {
                const pairs = args.map(([name, value]) => [String(name), value ?? ""] as const);
                const answer = await gateway.run(action, pairs, current.get(router) ?? AbortSignal.timeout(10_000));
                return { [`${action}Response`]: { ...answer, "@": { "xmlns:u": "" } } };
              };
              client.getGateway = async () => ({ gateway: device, address });
              resolve(router);
            },
            (error: unknown) => {
              problem = error;
            },
          );
        };
        for (const device of DEVICES) {
          const emitter = client.ssdp.search(device);
          emitter.on("device", onDevice);
          for (const ms of SEARCHES_MS.slice(1))
            timers.push(this.#clock.timer(ms, () => void client.ssdp.search(device, emitter)));
        }
        const none = () => problem ?? new MappingError("absent", "no router with UPnP answers");
        timers.push(this.#clock.timer(SEARCH_MS, () => reject(none())));
        signal.addEventListener("abort", () => reject(signal.reason), { signal: found.signal });
      });
    } finally {
      found.abort();
      for (const cancel of timers) cancel();
      close();
    }
  }
}

/** The signal of the call that a router works for. */
const current = new WeakMap<Router, AbortSignal>();

/**
 * The library's sockets: an error of one, such as an interface that is gone, would be thrown at nobody, and end the
 * process; and what they read it takes apart in a time that grows with the square of its length. @returns closes them
 */
function hardened(client: Client): () => void {
  const sockets = Reflect.get(client.ssdp, "sockets") as Socket[];
  const all = [...sockets];
  const heard = new Map<string, number>();
  for (const socket of all) {
    const listeners = socket.listeners("message") as ((message: Buffer, from: RemoteInfo) => void)[];
    socket.removeAllListeners("message");
    socket.on("message", (message, from) => {
      const count = (heard.get(from.address) ?? 0) + 1;
      if (count > MOST_DATAGRAMS || message.length > LONGEST_DATAGRAM) return;
      // A device speaks for itself: its description is where the answer came from.
      if (!message.includes(`//${from.address}`) || heard.size > MOST_SOURCES) return;
      heard.set(from.address, count);
      for (const listener of listeners) listener.call(socket, message, from);
    });
    socket.on("error", () => undefined);
    const close = socket.close.bind(socket);
    let closed = false;
    socket.close = (callback) => {
      if (!closed) close(callback);
      closed = true;
      return socket;
    };
  }
  return () => {
    client.close();
    for (const socket of all) socket.close();
  };
}
