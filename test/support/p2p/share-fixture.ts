/** Shares of real files, over a network in memory. */
import { join } from "node:path";
import type { KeyValue } from "../../../src/daemon/core/ports/key-value.ts";
import type { ReceiptStore } from "../../../src/daemon/core/ports/receipts.ts";
import type { Clock } from "../../../src/daemon/core/ports/runtime.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import { Seeder } from "../../../src/daemon/p2p/give/seeder.ts";
import { SecretStore } from "../../../src/daemon/p2p/secret-store.ts";
import type { OfferedShare } from "../../../src/daemon/p2p/share/share-fetched.ts";
import { Shares } from "../../../src/daemon/p2p/share/shares.ts";
import type { OwnPlaces } from "../../../src/daemon/p2p/share/walk.ts";
import type { Servable } from "../../../src/daemon/p2p/types.ts";
import { MemoryKeyValue } from "../memory-key-value.ts";
import { RecordLogger } from "../record-logger.ts";
import { MemoryNetwork } from "./memory-network.ts";

/** How it is made. */
export interface ShareFixtureOptions {
  readonly clock?: Clock;
  readonly keyValue?: KeyValue;
  readonly receipts?: Pick<ReceiptStore, "byPath" | "chunks">;
  readonly own?: OwnPlaces;
  readonly offered?: ReadonlyMap<string, OfferedShare>;
}

/** One daemon's shares; made again over the same store it is what is there after a restart. */
export interface ShareFixture extends AsyncDisposable {
  readonly shares: Shares;
  readonly seeder: Seeder;
  readonly network: MemoryNetwork;
  readonly secrets: SecretStore;
  readonly keyValue: KeyValue;
  readonly logger: RecordLogger;
  /** In place of downloads that gave them on. */
  readonly handedOver: readonly Servable[];
}

const DAY = 86_400_000;

/** @param state - a folder for what is kept */
export function shareFixture(state: string, options: ShareFixtureOptions = {}): ShareFixture {
  const clock = options.clock ?? new SystemClock();
  const keyValue = options.keyValue ?? new MemoryKeyValue();
  const logger = new RecordLogger();
  const seeder = new Seeder({ clock, logger, uploadLimit: 0 });
  const network = new MemoryNetwork();
  const handedOver: Servable[] = [];
  const secrets = new SecretStore(join(state, "codes"));
  const shares = new Shares({
    keyValue,
    secrets,
    network,
    seeder,
    receipts: options.receipts ?? { byPath: async () => undefined, chunks: async function* () {} },
    fetched: {
      known: (publicId) => options.offered?.get(publicId),
      handOver: (successor) => void handedOver.push(successor),
    },
    own: () => options.own ?? { paths: [], except: [] },
    clock,
    logger,
    defaults: () => ({ maxPeers: 10, expiresInMs: 7 * DAY }),
  });
  return {
    shares,
    seeder,
    network,
    secrets,
    keyValue,
    logger,
    handedOver,
    async [Symbol.asyncDispose]() {
      await shares[Symbol.asyncDispose]();
      await seeder[Symbol.asyncDispose]();
    },
  };
}

/** A call that nobody breaks off. */
export const unbroken = (): { readonly signal: AbortSignal } => ({ signal: new AbortController().signal });
