/** What the ways to have a router open a port (UPnP, NAT-PMP) have in common. */

/** A port that a router lets in. */
export interface MappedPort {
  readonly externalPort: number;
  /** Seconds until the router forgets it; 0: it does not. */
  readonly lifetime: number;
}

/** One way. Nothing is searched for or listened to before the first call. */
export interface PortMapper extends AsyncDisposable {
  readonly name: "upnp" | "nat-pmp";
  /**
   * Opens a TCP port to this machine, or renews it.
   *
   * @param externalPort - at least 1024; the router may open another
   * @param lifetime - in seconds
   * @throws MappingError; the signal's reason
   */
  map(internalPort: number, externalPort: number, lifetime: number, signal: AbortSignal): Promise<MappedPort>;
  /** Closes it. @throws MappingError; the signal's reason */
  unmap(internalPort: number, externalPort: number, signal: AbortSignal): Promise<void>;
  /** The router's address outside, as it says; "" if it has none. @throws MappingError; the signal's reason */
  externalAddress(signal: AbortSignal): Promise<string>;
}

/** Why there is no mapping. The message is for people. */
export class MappingError extends Error {
  /** "absent": no router answers; "taken": by another machine or program; "refused": the router does not want to. */
  readonly kind: "absent" | "taken" | "refused";

  constructor(kind: MappingError["kind"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "MappingError";
    this.kind = kind;
  }
}

/** The lowest port that is asked for: routers deny those below, and one (miniupnpd) hangs for 20 s over it. */
const LOWEST_PORT = 1024;

/** @throws RangeError for a port that is not to be asked for */
export function requirePorts(internalPort: number, externalPort: number): void {
  for (const port of [internalPort, externalPort])
    if (!Number.isInteger(port) || port < LOWEST_PORT || port > 65535)
      throw new RangeError(`${port} is not a port that a router can be asked for (${LOWEST_PORT} to 65535)`);
}
