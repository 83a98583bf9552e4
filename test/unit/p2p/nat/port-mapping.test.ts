import assert from "node:assert/strict";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite, test } from "node:test";
import { MappedPorts } from "../../../../src/daemon/p2p/nat/mapped-ports.ts";
import { type MappedPort, MappingError, type PortMapper } from "../../../../src/daemon/p2p/nat/port-mapper.ts";
import { type MappingState, PortMapping } from "../../../../src/daemon/p2p/nat/port-mapping.ts";
import { temporaryFolder } from "../../../support/files.ts";
import { RecordLogger } from "../../../support/record-logger.ts";
import { TestClock } from "../../../support/test-clock.ts";
import { waitFor } from "../../../support/wait.ts";

/** A router that does as it is told. */
class FakeRouter implements PortMapper {
  readonly name: PortMapper["name"];
  readonly open = new Map<number, number>();
  readonly asked: number[] = [];
  readonly taken = new Set<number>();
  address = "100.200.1.1";
  lifetime: number | undefined;
  problem: Error | undefined;
  gate: Promise<void> = Promise.resolve();
  disposed = false;
  onMap: (() => Promise<void>) | undefined;

  constructor(name: PortMapper["name"] = "nat-pmp") {
    this.name = name;
  }

  async map(internalPort: number, externalPort: number, lifetime: number, _signal?: AbortSignal): Promise<MappedPort> {
    await this.gate;
    this.asked.push(externalPort);
    await this.onMap?.();
    if (this.problem) throw this.problem;
    if (this.taken.has(externalPort)) throw new MappingError("taken", `${externalPort} is taken`);
    this.open.set(externalPort, internalPort);
    return { externalPort, lifetime: this.lifetime ?? lifetime };
  }

  async unmap(_internalPort: number, externalPort: number): Promise<void> {
    await this.gate;
    if (this.problem) throw this.problem;
    this.open.delete(externalPort);
  }

  async externalAddress(): Promise<string> {
    if (this.problem) throw this.problem;
    return this.address;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.disposed = true;
  }
}

function setUp(...mappers: FakeRouter[]) {
  return setUpWith({}, ...mappers);
}

function setUpWith({ file, clock = new TestClock() }: { file?: string; clock?: TestClock }, ...mappers: FakeRouter[]) {
  const states: MappingState[] = [];
  const logger = new RecordLogger();
  const options = {
    clock,
    logger,
    upnp: false,
    natPmp: false,
    mappers,
    ...(file !== undefined && { ports: new MappedPorts(file, clock) }),
    onChange: (state: MappingState) => states.push(state),
  };
  return { clock, states, logger, mapping: new PortMapping(options) };
}

suite("a mapped port", () => {
  test("is not asked for before it is wanted, is told, and is gone at the end", async () => {
    const router = new FakeRouter();
    const { mapping, clock } = setUp(router);
    assert.deepEqual([router.asked.length, clock.pending, mapping.state.reachable], [0, 0, false]);
    await mapping.start(5000);
    assert.deepEqual(mapping.state, {
      mappedBy: "nat-pmp",
      externalIp: "100.200.1.1",
      externalPort: 5000,
      until: clock.now() + 1_200_000,
      reachable: true,
    });
    await mapping[Symbol.asyncDispose]();
    assert.deepEqual([router.open.size, router.disposed, clock.pending], [0, true, 0]);
    assert.equal(mapping.state.reachable, false);
  });

  test("is renewed when half of its lifetime is over, as the router gave it", async () => {
    const router = new FakeRouter();
    router.lifetime = 100;
    const { mapping, clock, states } = setUp(router);
    await mapping.start(5000);
    await clock.advance(49_999);
    assert.equal(router.asked.length, 1);
    await clock.advance(1);
    assert.deepEqual(router.asked, [5000, 5000]);
    assert.equal(mapping.state.until, clock.now() + 100_000);
    assert.equal(states.length, 1, "a renewal is no change");
    await mapping[Symbol.asyncDispose]();
  });

  test("is another where the wanted one is taken", async () => {
    const router = new FakeRouter();
    router.taken.add(5000);
    const { mapping } = setUp(router);
    await mapping.start(5000);
    assert.notEqual(mapping.state.externalPort, 5000);
    assert.equal(router.open.get(mapping.state.externalPort ?? 0), 5000);
    await mapping[Symbol.asyncDispose]();
    assert.equal(router.open.size, 0);
  });

  test("becomes another where somebody takes it away between", async () => {
    const router = new FakeRouter();
    const { mapping, clock } = setUp(router);
    await mapping.start(5000);
    router.taken.add(5000);
    await clock.advance(600_000);
    assert.notEqual(mapping.state.externalPort, 5000);
    assert.equal(mapping.state.reachable, true);
    await mapping[Symbol.asyncDispose]();
  });

  test("is not tried without end where all are taken", async () => {
    const router = new FakeRouter();
    router.taken.has = () => true;
    const { mapping } = setUp(router);
    await mapping.start(5000);
    assert.equal(router.asked.length, 5);
    assert.match(mapping.state.problem ?? "", /is taken/);
    await mapping[Symbol.asyncDispose]();
  });

  test("with a private address outside is not reachable, and it is said why", async () => {
    for (const address of [
      "10.0.0.5",
      "192.168.1.2",
      "172.16.3.4",
      "100.64.0.9",
      "192.0.2.1",
      "198.51.100.1",
      "0.0.0.0",
      "",
    ]) {
      const router = new FakeRouter();
      router.address = address;
      const { mapping } = setUp(router);
      await mapping.start(5000);
      assert.equal(mapping.state.reachable, false, address);
      assert.match(mapping.state.problem ?? "", /double NAT|not connected/);
      await mapping[Symbol.asyncDispose]();
    }
  });

  test("notices another address outside", async () => {
    const router = new FakeRouter();
    const { mapping, clock, states } = setUp(router);
    await mapping.start(5000);
    router.address = "100.200.1.2";
    await clock.advance(600_000);
    assert.deepEqual(
      states.map(({ externalIp }) => externalIp),
      ["100.200.1.1", "100.200.1.2"],
    );
    await mapping[Symbol.asyncDispose]();
  });

  test("is tried again later where there is no router, and never throws", async () => {
    const router = new FakeRouter();
    router.problem = new MappingError("absent", "nobody answers");
    const { mapping, clock } = setUp(router);
    await mapping.start(5000);
    assert.deepEqual(mapping.state, { reachable: false, problem: "nobody answers" });
    router.problem = undefined;
    await clock.advance(600_000);
    assert.equal(mapping.state.reachable, true);
    router.problem = new Error("the cable is out");
    await clock.advance(600_000);
    assert.deepEqual(mapping.state, { reachable: false, problem: "the cable is out" });
    await mapping[Symbol.asyncDispose]();
  });
});

suite("two ways side by side", () => {
  test("the first that works is kept, and what the other opens too late is removed", async () => {
    const slow = new FakeRouter("upnp");
    const quick = new FakeRouter();
    const gate = Promise.withResolvers<void>();
    slow.gate = gate.promise;
    slow.taken.add(5000);
    const { mapping } = setUp(slow, quick);
    await mapping.start(5000);
    assert.equal(mapping.state.mappedBy, "nat-pmp");
    gate.resolve();
    await waitFor("the late one", () => slow.asked.length >= 2);
    await waitFor("its removal", () => slow.open.size === 0);
    assert.deepEqual([...quick.open], [[5000, 5000]]);
    await mapping[Symbol.asyncDispose]();
    assert.equal(quick.open.size, 0);
  });

  test("one that fails does not matter; where both fail both are told", async () => {
    const broken = new FakeRouter("upnp");
    broken.problem = new MappingError("refused", "not today");
    const router = new FakeRouter();
    const { mapping, clock } = setUp(broken, router);
    await mapping.start(5000);
    assert.equal(mapping.state.mappedBy, "nat-pmp");
    router.problem = new MappingError("absent", "nobody answers");
    await clock.advance(600_000);
    assert.equal(mapping.state.problem, "not today; nobody answers");
    await mapping[Symbol.asyncDispose]();
  });

  test("switched off both, it says so", async () => {
    const { mapping, clock } = setUp();
    await mapping.start(5000);
    assert.match(mapping.state.problem ?? "", /p2p\.upnp, p2p\.nat_pmp/);
    assert.equal(clock.pending, 0);
    await mapping[Symbol.asyncDispose]();
  });
});

test("the end does not wait for a router that is silent", async () => {
  const router = new FakeRouter();
  const { mapping, clock } = setUp(router);
  await mapping.start(5000);
  router.gate = new Promise(() => undefined);
  let over = false;
  const ended = mapping[Symbol.asyncDispose]().then(() => {
    over = true;
  });
  await clock.advance(1999);
  assert.equal(over, false);
  await clock.advance(1);
  await ended;
  assert.equal(clock.pending, 0);
});

test("what a router may have heard before it was called off is removed", async () => {
  const router = new FakeRouter();
  const { mapping } = setUp(router);
  router.map = async (internal, external, _lifetime, signal: AbortSignal = AbortSignal.abort()) => {
    router.open.set(external, internal);
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    throw signal.reason;
  };
  const started = mapping.start(5000);
  await waitFor("the call", () => router.open.size === 1);
  await mapping[Symbol.asyncDispose]();
  await started;
  assert.equal(router.open.size, 0);
});

suite("what a killed run has left open", () => {
  test("is written down before the router hears of it, for the owner alone; nothing is left at the end", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "p2p", "mapped-ports.json");
    const router = new FakeRouter();
    const { mapping, clock } = setUpWith({ file }, router);
    let before = "";
    router.onMap = async () => {
      before = await readFile(file, "utf8");
    };
    await mapping.start(5000);
    const open = [{ by: "nat-pmp", internalPort: 5000, externalPort: 5000, until: clock.now() + 1_200_000 }];
    assert.deepEqual(JSON.parse(before), open);
    assert.deepEqual(JSON.parse(await readFile(file, "utf8")), open);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    await mapping[Symbol.asyncDispose]();
    await assert.rejects(stat(file), { code: "ENOENT" });
  });

  test("is closed by the next one before it opens another", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "mapped-ports.json");
    const [upnp, natPmp] = [new FakeRouter("upnp"), new FakeRouter("nat-pmp")];
    const killed = setUpWith({ file }, upnp, natPmp);
    await killed.mapping.start(5000);
    await waitFor("one of them", () => upnp.open.size + natPmp.open.size > 0);
    const [from] = [upnp, natPmp].filter(({ open }) => open.has(5000));
    assert.ok(from);
    let open = -1;
    from.onMap = async () => {
      open = from.open.size;
    };
    const { mapping } = setUpWith({ file, clock: killed.clock }, upnp, natPmp);
    await mapping.start(6000);
    assert.equal(open, 0, "first the old one is closed");
    assert.ok(!from.open.has(5000));
    await mapping[Symbol.asyncDispose]();
    await assert.rejects(stat(file), { code: "ENOENT" });
  });

  test("is remembered while its router is away, and not for longer than that remembers it", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "mapped-ports.json");
    const router = new FakeRouter();
    const killed = setUpWith({ file }, router);
    await killed.mapping.start(5000);
    const { clock } = killed;
    router.problem = new MappingError("absent", "no router");
    const away = setUpWith({ file, clock }, router);
    await away.mapping.start(6000);
    await away.mapping[Symbol.asyncDispose]();
    const kept = JSON.parse(await readFile(file, "utf8")) as { readonly internalPort: number }[];
    assert.ok(kept.some(({ internalPort }) => internalPort === 5000));
    clock.jump(1_200_001);
    assert.deepEqual(await new MappedPorts(file, clock).read(), []);
  });

  test("is nothing where the file is nonsense", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "mapped-ports.json");
    for (const text of ["", "{", "7", "[7, null]", '[{"by":"upnp","internalPort":0,"externalPort":9,"until":0}]']) {
      await writeFile(file, text);
      const router = new FakeRouter();
      const { mapping } = setUpWith({ file }, router);
      await mapping.start(5000);
      assert.equal(mapping.state.reachable, true);
      await mapping[Symbol.asyncDispose]();
    }
  });
});
