/**
 * A port of this machine that the router lets in, for as long as it is wanted: UPnP and NAT-PMP are tried side by side, and
 * the first that works is kept, renewed when half of its time is over, and removed at the end. It never throws: a network
 * without it works too, only less well, and people are told why.
 */
import { randomInt } from "node:crypto";
import { addressKind } from "../../core/address-kind.ts";
import type { Clock, Logger } from "../../core/ports/runtime.ts";
import type { MappedPorts, OpenPort } from "./mapped-ports.ts";
import { NatPmp } from "./nat-pmp.ts";
import { type MappedPort, MappingError, type PortMapper } from "./port-mapper.ts";
import { UPnPManager } from "./upnp.ts";

/** Seconds that a mapping is asked for: short, since a program that is killed leaves it behind. */
const LIFETIME = 1200;

/** A mapping without an end, or none at all, is looked after so often, in milliseconds: the machine may be elsewhere then. */
const RETRY_MS = 600_000;

/** Ports that are tried where one is taken. */
const PORT_TRIES = 5;

/** For one attempt, for the removal at the end, and for that of what was left behind, in milliseconds. */
const ATTEMPT_MS = 20_000;
const REMOVAL_MS = 2000;
const LEFT_BEHIND_MS = 5000;

/** The port as it is now. */
export interface MappingState {
  readonly mappedBy?: PortMapper["name"];
  readonly externalIp?: string;
  readonly externalPort?: number;
  /** Milliseconds since the epoch; absent: the router does not forget it. */
  readonly until?: number;
  /** Others can get in: there is a mapping, and a public address. */
  readonly reachable: boolean;
  /** For people: why nobody can get in. */
  readonly problem?: string;
}

/** What a mapping is made of. */
export interface PortMappingOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether UPnP may be used. */
  readonly upnp: boolean;
  /** Whether NAT-PMP may be used. */
  readonly natPmp: boolean;
  /** Seconds; default 1200. */
  readonly lifetime?: number;
  /** Default: the real ones that may be used. */
  readonly mappers?: readonly PortMapper[];
  /** Where it is kept what is open, for the next run if this one is killed; absent: nowhere. */
  readonly ports?: MappedPorts;
  /** The state has changed. */
  readonly onChange?: (state: MappingState) => void;
}

/** What was made, and by whom. */
interface Made {
  readonly mapper: PortMapper;
  readonly internalPort: number;
  readonly mapped: MappedPort;
  /** Milliseconds since the epoch; 0: without end. */
  readonly until: number;
}

/** Keeps one TCP port mapped. Idle until {@link start}. */
export class PortMapping implements AsyncDisposable {
  readonly #options: PortMappingOptions;
  readonly #mappers: readonly PortMapper[];
  readonly #ended = new AbortController();
  /** What has to be removed at the end, by whom and external port. */
  readonly #left = new Map<string, Made>();
  /** What an earlier run has left open; undefined before that was looked at. */
  #leftBehind: readonly OpenPort[] | undefined;
  #internalPort = 0;
  #current: Made | undefined;
  #cancel = () => {};
  #attempt: Promise<void> = Promise.resolve();
  #state: MappingState = { reachable: false, problem: "the router was not asked yet" };

  constructor(options: PortMappingOptions) {
    this.#options = options;
    const { clock } = options;
    const real = [
      ...(options.upnp ? [new UPnPManager({ clock })] : []),
      ...(options.natPmp ? [new NatPmp({ clock })] : []),
    ];
    this.#mappers = options.mappers ?? real;
  }

  get state(): MappingState {
    return this.#state;
  }

  /** Maps a port, and keeps it mapped. Resolves when the first attempt is over, well or not. Never rejects. */
  start(internalPort: number): Promise<void> {
    this.#internalPort = internalPort;
    return this.#run();
  }

  /** Removes what was mapped, within two seconds. Never rejects. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort(new Error("the mapping is not wanted any more"));
    this.#cancel();
    const late = Promise.withResolvers<void>();
    const cancel = this.#options.clock.timer(REMOVAL_MS, late.resolve);
    const removal = this.#attempt.then(() => {
      const signal = AbortSignal.timeout(REMOVAL_MS);
      return Promise.all([...this.#left.values()].map((made) => this.#remove(made, signal)));
    });
    await Promise.race([removal, late.promise]);
    cancel();
    await Promise.allSettled(this.#mappers.map((mapper) => mapper[Symbol.asyncDispose]()));
    this.#current = undefined;
    this.#set({ reachable: false, problem: "the port is not mapped any more" });
  }

  #run(): Promise<void> {
    this.#attempt = this.#once().then(
      (state) => this.#set(state),
      (error: unknown) => {
        this.#current = undefined;
        this.#set({ reachable: false, problem: error instanceof Error ? error.message : String(error) });
      },
    );
    return this.#attempt.then(() => this.#schedule());
  }

  #schedule(): void {
    if (this.#ended.signal.aborted || this.#mappers.length === 0) return;
    const lifetime = this.#current?.mapped.lifetime ?? 0;
    const ms = lifetime > 0 ? Math.max(1000, Math.min(lifetime * 500, 2 ** 31)) : RETRY_MS;
    this.#cancel = this.#options.clock.timer(ms, () => void this.#run());
  }

  /** Renews what is mapped, else maps it. @throws what stands in the way */
  async #once(): Promise<MappingState> {
    if (this.#mappers.length === 0) throw new Error("UPnP and NAT-PMP are switched off (p2p.upnp, p2p.nat_pmp)");
    const signal = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(ATTEMPT_MS)]);
    if (this.#leftBehind === undefined) await this.#tidy(signal);
    const before = this.#current;
    const renewed = before && (await this.#renew(before, signal));
    const made = renewed ?? (await this.#first(before?.mapped.externalPort ?? this.#internalPort, signal));
    this.#current = made;
    const { mapper, mapped } = made;
    const base = {
      mappedBy: mapper.name,
      externalPort: mapped.externalPort,
      ...(mapped.lifetime > 0 && { until: this.#options.clock.now() + mapped.lifetime * 1000 }),
    };
    try {
      const externalIp = await mapper.externalAddress(signal);
      const problem = addressProblem(externalIp);
      return { ...base, externalIp, reachable: problem === undefined, ...(problem !== undefined && { problem }) };
    } catch (error) {
      signal.throwIfAborted();
      return {
        ...base,
        reachable: false,
        problem: `the router does not tell its address: ${(error as Error).message}`,
      };
    }
  }

  async #renew({ mapper, mapped }: Made, signal: AbortSignal): Promise<Made | undefined> {
    try {
      return await this.#map(mapper, mapped.externalPort, signal);
    } catch {
      signal.throwIfAborted();
      // Another router, another network, or somebody else has the port: all over again.
      return undefined;
    }
  }

  /** The first of the mappers that works. @throws what stands in the way, with the reasons of all */
  async #first(externalPort: number, signal: AbortSignal): Promise<Made> {
    const won = new AbortController();
    const both = AbortSignal.any([signal, won.signal]);
    const tries = this.#mappers.map((mapper) => this.#tryPorts(mapper, externalPort, both));
    try {
      const made = await Promise.any(tries);
      won.abort();
      // One that came too late may have opened another port. The same port of the same router is one and the same mapping.
      void Promise.allSettled(tries).then(() => this.#removeOthers(made));
      return made;
    } catch (error) {
      signal.throwIfAborted();
      const reasons = error instanceof AggregateError ? error.errors : [error];
      throw new Error(reasons.map((reason: unknown) => (reason as Error).message).join("; "), { cause: error });
    }
  }

  async #tryPorts(mapper: PortMapper, wanted: number, signal: AbortSignal): Promise<Made> {
    for (let attempt = 1, port = wanted; ; attempt++, port = randomInt(20_000, 60_000)) {
      try {
        return await this.#map(mapper, port, signal);
      } catch (error) {
        if (!(error instanceof MappingError && error.kind === "taken") || attempt === PORT_TRIES)
          throw await this.#explained(error, mapper, signal);
      }
    }
  }

  /** A router that refuses for want of a public address may not say so. @returns the reason, with what its address tells */
  async #explained(error: unknown, mapper: PortMapper, signal: AbortSignal): Promise<unknown> {
    if (!(error instanceof MappingError) || error.kind === "absent") return error;
    const address = await mapper.externalAddress(signal).catch(() => undefined);
    const problem = address === undefined ? undefined : addressProblem(address);
    return problem === undefined
      ? error
      : new MappingError(error.kind, `${error.message} (${problem})`, { cause: error });
  }

  async #map(mapper: PortMapper, externalPort: number, signal: AbortSignal): Promise<Made> {
    const { lifetime = LIFETIME } = this.#options;
    // It counts from here on: a call that is called off may have been heard by the router.
    const wanted = this.#made(mapper, { externalPort, lifetime });
    this.#left.set(keyOf(wanted), wanted);
    await this.#keep();
    try {
      const mapped = await mapper.map(this.#internalPort, externalPort, lifetime, signal);
      this.#left.delete(keyOf(wanted));
      const made = this.#made(mapper, mapped);
      this.#left.set(keyOf(made), made);
      return made;
    } catch (error) {
      if (error instanceof MappingError && error.kind !== "absent") this.#left.delete(keyOf(wanted));
      throw error;
    } finally {
      await this.#keep();
    }
  }

  #made(mapper: PortMapper, mapped: MappedPort): Made {
    const until = mapped.lifetime === 0 ? 0 : this.#options.clock.now() + mapped.lifetime * 1000;
    return { mapper, internalPort: this.#internalPort, mapped, until };
  }

  /** Writes down what is open, or may be. Never rejects. */
  async #keep(): Promise<void> {
    const { ports, logger } = this.#options;
    const open = [...this.#left.values()].map(
      ({ mapper, internalPort, mapped, until }): OpenPort => ({
        ...{ by: mapper.name, internalPort, externalPort: mapped.externalPort, until },
      }),
    );
    try {
      await ports?.write([...(this.#leftBehind ?? []), ...open]);
    } catch (error) {
      logger.debug({ problem: (error as Error).message }, "which ports are mapped could not be written down");
    }
  }

  /** Removes what an earlier run has left open: it was killed. @throws the signal's reason */
  async #tidy(signal: AbortSignal): Promise<void> {
    const left = (await this.#options.ports?.read()) ?? [];
    this.#leftBehind = left;
    if (left.length === 0) return;
    const within = AbortSignal.any([signal, AbortSignal.timeout(LEFT_BEHIND_MS)]);
    const removed = await Promise.all(this.#mappers.map((mapper) => this.#removeLeft(mapper, left, within)));
    // One of a router that is not here now may be removed another time, until it has forgotten it.
    this.#leftBehind = left.filter((port) => !removed.flat().includes(port));
    await this.#keep();
    signal.throwIfAborted();
  }

  /** @returns those that are closed now. Never rejects */
  async #removeLeft(mapper: PortMapper, left: readonly OpenPort[], signal: AbortSignal): Promise<readonly OpenPort[]> {
    const removed: OpenPort[] = [];
    try {
      for (const port of left.filter(({ by }) => by === mapper.name)) {
        // Who was not heard of yet would not be asked to close anything.
        if (removed.length === 0) await mapper.externalAddress(signal);
        await mapper.unmap(port.internalPort, port.externalPort, signal);
        removed.push(port);
      }
    } catch (error) {
      const fields = { by: mapper.name, problem: (error as Error).message };
      this.#options.logger.debug(fields, "a port that an earlier run had mapped was not removed");
    }
    return removed;
  }

  async #removeOthers(kept: Made): Promise<void> {
    for (const made of this.#left.values())
      if (made.mapped.externalPort !== kept.mapped.externalPort)
        await this.#remove(made, AbortSignal.timeout(REMOVAL_MS));
  }

  async #remove(made: Made, signal: AbortSignal): Promise<void> {
    const { mapper, mapped } = made;
    try {
      await mapper.unmap(made.internalPort, mapped.externalPort, signal);
      this.#left.delete(keyOf(made));
      await this.#keep();
    } catch (error) {
      const fields = { by: mapper.name, port: mapped.externalPort, problem: (error as Error).message };
      this.#options.logger.debug(fields, "a mapped port was not removed; the router forgets it");
    }
  }

  #set(state: MappingState): void {
    const before = this.#state;
    this.#state = state;
    const { logger, onChange } = this.#options;
    const { until: _then, ...was } = before;
    const { until: _now, ...is } = state;
    if (JSON.stringify(was) === JSON.stringify(is)) return;
    if (!this.#ended.signal.aborted)
      logger.info(is, state.reachable ? "the router lets peers in" : "the router lets no peers in");
    onChange?.(state);
  }
}

/** Why nobody gets in at a router's address outside; undefined if that is a public one. */
function addressProblem(address: string): string | undefined {
  if (address === "" || address === "0.0.0.0")
    return "the router has no address outside: it is not connected, or has a private one";
  if (addressKind(address) === "public") return undefined;
  return `the router's own address ${address} is private: there is another NAT behind it (double NAT, or the provider's)`;
}

function keyOf({ mapper, mapped }: Made): string {
  return `${mapper.name} ${mapped.externalPort}`;
}
