import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import type { Plan } from "../../../src/daemon/core/plan.ts";
import { deriveKeys } from "../../../src/daemon/p2p/keys.ts";
import { PeerResolver } from "../../../src/daemon/p2p/take/peer-resolver.ts";
import { Swarms } from "../../../src/daemon/p2p/take/swarms.ts";
import { FakeNetwork } from "../../support/p2p/fake-network.ts";
import { type Manner, makeContent, scriptGiver } from "../../support/p2p/script-giver.ts";
import { SmallEngine } from "../../support/p2p/small-engine.ts";
import { RecordLogger } from "../../support/record-logger.ts";
import { TestClock } from "../../support/test-clock.ts";
import { waitFor } from "../../support/wait.ts";

const CHUNK = 64 * 1024;
const CHUNKS = 9;
const SIZE = CHUNKS * CHUNK - 777;

const chunks = fc.uniqueArray(fc.nat(CHUNKS - 1), { maxLength: CHUNKS }).map((list) => new Set(list));
const bytes = fc.integer({ min: 1, max: SIZE });

/** What takes time needs the clock of the run. */
type Timed = Omit<Manner, "trickles" | "tricklesCatalogue"> & {
  readonly drip?: { readonly ms: number; readonly after: number } | undefined;
  readonly dripsList?: number | undefined;
};

const apart = fc.integer({ min: 200, max: 12_000 });

/** One that may do anything wrong. */
const anyManner: fc.Arbitrary<Timed> = fc
  .record({
    has: fc.option(chunks, { nil: undefined }),
    lies: fc.option(chunks, { nil: undefined }),
    refuses: fc.option(chunks, { nil: undefined }),
    stallsAfter: fc.option(bytes, { nil: undefined, freq: 3 }),
    diesAfter: fc.option(bytes, { nil: undefined }),
    piece: fc.constantFrom(1000, 16_384, 65_536),
    greedy: fc.boolean(),
    drip: fc.option(fc.record({ ms: apart, after: fc.nat(SIZE) }), { nil: undefined, freq: 2 }),
    dripsList: fc.option(apart, { nil: undefined, freq: 4 }),
  })
  .map(({ has, lies, refuses, stallsAfter, diesAfter, piece, greedy, drip, dripsList }) => ({
    ...(has && { has: (chunk: number) => has.has(chunk) }),
    ...(lies && { lies: (chunk: number) => lies.has(chunk) }),
    ...(refuses && { refuses: (chunk: number) => refuses.has(chunk) }),
    ...(stallsAfter !== undefined && { stallsAfter }),
    ...(diesAfter !== undefined && { diesAfter }),
    piece,
    greedy,
    drip,
    dripsList,
  }));

test("several peers with random parts, lies, stalls, trickles and deaths: right bytes or an error, and nothing is left", async () => {
  const content = makeContent([["film.mkv", randomBytes(SIZE)]], { chunkSize: CHUNK });
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyManner, { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      fc.integer({ min: 1, max: 4 }),
      fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
      async (manners, honest, lanes, holdEvery) => {
        const network = new FakeNetwork();
        const clock = new TestClock();
        const secret = randomBytes(15);
        const { publicId } = deriveKeys(secret);
        const logger = new RecordLogger();
        const secrets = { get: () => secret, keep: () => undefined };
        const swarms = new Swarms({ network, secrets, clock, logger, maxPeers: () => 10, give: () => undefined });
        const settings = () => ({ enabled: true, allowRemote: true });
        const resolver = new PeerResolver({ swarms: () => Promise.resolve(swarms), secrets, settings });
        const most = 20;
        for (const [index, { drip, dripsList: ms, ...manner }] of manners.entries()) {
          const timed: Manner = {
            ...manner,
            ...(drip && { trickles: { clock, ...drip } }),
            ...(ms !== undefined && { tricklesCatalogue: { clock, ms } }),
          };
          network.givers.push(scriptGiver(content, timed, { address: `10.0.0.${index}`, most }));
        }
        if (honest) network.givers.push(scriptGiver(content, {}, { address: "10.1.1.1" }));
        const url = `snatch:share/${publicId}`;
        // Beside an honest one nobody keeps it from ending; alone he may take as long as he likes.
        const patience = new AbortController();
        const stop = clock.timer(honest ? 300_000 : 60_000, () => patience.abort(new Error("it does not end")));
        const timer = setInterval(() => void clock.advance(250), 2);
        try {
          const { signal } = patience;
          const { manifest } = (await resolver.resolve({ url, mirrors: [], options: {} }, signal)) as Plan;
          assert.ok(manifest);
          const engine = new SmallEngine(swarms.peer(`${url}/0`), manifest, {
            lanes,
            signal,
            patience: honest ? 60 : 6,
            ...(holdEvery !== undefined && { holdEvery }),
          });
          try {
            assert.deepEqual(await engine.all(), content.files[0]);
          } catch (error) {
            if (honest || (error as Error).name === "AssertionError") throw error;
          }
          // Whatever counted is right, also where not all came.
          for (const chunk of engine.done)
            assert.ok(
              engine.bytes
                .subarray(chunk * CHUNK, (chunk + 1) * CHUNK)
                .equals(content.files[0]?.subarray(chunk * CHUNK, (chunk + 1) * CHUNK) ?? Buffer.alloc(0)),
            );
        } catch (error) {
          // Not even a list of files.
          if (honest || (error as Error).name === "AssertionError") throw error;
        } finally {
          stop();
          clearInterval(timer);
          await swarms[Symbol.asyncDispose]();
        }
        // Givers hear a moment later that it has ended.
        await waitFor("no timer is left", () => clock.pending === 0);
        assert.equal(network.takers.size, 0, "it seeks on");
        for (const channel of network.open.values()) assert.ok(channel.closed, "a channel is left");
      },
    ),
    { numRuns: Number(process.env["SNATCH_FUZZ_RUNS"] ?? 20), interruptAfterTimeLimit: 60_000 },
  );
});
