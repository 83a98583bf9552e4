/** What sharing has to show: the "Done when" of its issue, line by line, at full size. ACCEPT_SEED sets the chance. */
import type { NatKind } from "../test/support/rigs.ts";
import { inTurn, type Outcome } from "../test/support/scenarios/outcome.ts";
import { channelSpeed } from "../test/support/scenarios/p2p-channel-speed.ts";
import { hostileFrames } from "../test/support/scenarios/p2p-frames.ts";
import { lanFetch } from "../test/support/scenarios/p2p-lan.ts";
import { p2pLibtorrent } from "../test/support/scenarios/p2p-libtorrent.ts";
import { type NatTransfer, natTransfer } from "../test/support/scenarios/p2p-nat.ts";
import { natTypes } from "../test/support/scenarios/p2p-nat-type.ts";
import { lostRelay, NAT_PAIRS, natPaths } from "../test/support/scenarios/p2p-paths.ts";
import { between, foreignClient, suites, wrongCode } from "../test/support/scenarios/p2p-strangers.ts";
import {
  badNeighbour,
  killedMapping,
  mappedPort,
  movedRouter,
  privateOutside,
  takenPort,
} from "../test/support/scenarios/p2p-upnp.ts";
import { wiretap } from "../test/support/scenarios/p2p-wiretap.ts";
import { benchRuns, testsPass } from "./commands.ts";
import type { Criterion } from "./criterion.ts";

const MIB = 1024 * 1024;
const seed = Number(process.env["ACCEPT_SEED"] ?? 20261123);

/** Slow enough that there is a middle of a file of 64 MiB. */
const LIMIT = 8 * MIB;

const transfer = (a: NatKind, b: NatKind, more: Pick<NatTransfer, "paths"> & Partial<NatTransfer>) => () =>
  natTransfer({ a, b, bytes: (more.killed ? 64 : 100) * MIB, ...(more.killed && { limit: LIMIT }), ...more });

export const criteria: readonly Criterion[] = [
  {
    id: "1",
    title: "Files arrive whole through NATs, each saying its path; the relay or either daemon killed in mid-transfer",
    run: () =>
      inTurn({
        "cone/cone": transfer("cone", "cone", { paths: ["punched", "ice"] }),
        "relay alone": transfer("cone", "cone", { paths: ["relay-udp"], mode: "relay-only" }),
        "cone/symmetric": transfer("cone", "sym", { paths: ["ice", "relay-udp"] }),
        "symmetric/symmetric": transfer("sym", "sym", { paths: ["relay-udp"] }),
        "UDP blocked": transfer("udpblock", "udpblock", { paths: ["punched", "relay-tcp"] }),
        "UDP blocked/symmetric": transfer("udpblock", "sym", { paths: ["relay-tcp"] }),
        "TURN killed": transfer("sym", "sym", { paths: ["relay-udp"], killed: "turn" }),
        "giver killed": transfer("cone", "cone", { paths: ["punched", "ice"], killed: "giver" }),
        "relay lost": () => lostRelay({ bytes: 200 * MIB, killAfterMs: 3000 }),
        "taker killed": transfer("sym", "sym", { paths: ["relay-udp"], killed: "taker" }),
      }),
  },
  {
    id: "2",
    title: "IGDv1, IGDv2, NAT-PMP: reached from outside; the mapping is renewed, and gone after stop",
    run: () =>
      inTurn({
        IGDv1: () => mappedPort("IGDv1"),
        IGDv2: () => mappedPort("IGDv2"),
        "NAT-PMP": () => mappedPort("NAT-PMP"),
        "killed, IGDv2": () => killedMapping("IGDv2"),
        "killed, NAT-PMP": () => killedMapping("NAT-PMP"),
        "port taken": () => takenPort("IGDv2"),
        "double NAT": () => privateOutside("IGDv2"),
        "router moved": () => movedRouter("IGDv2"),
        "bad neighbour": badNeighbour,
      }),
  },
  { id: "3", title: "The kind of NAT is what turnutils_natdiscovery says", run: () => natTypes() },
  { id: "4", title: "libtorrent sees the share's key in the DHT and hands on our items", run: p2pLibtorrent },
  {
    id: "5",
    title:
      "A man in the middle, a wrong code, openssl s_client: not a byte; nothing of it on the wire; the classic suite",
    run: (): Promise<Outcome> =>
      inTurn({
        "wrong code": () => wrongCode("modern"),
        "wrong code, classic": () => wrongCode("classic"),
        "in the middle": () => between("modern"),
        "in the middle, classic": () => between("classic"),
        "openssl s_client": () => foreignClient("modern"),
        "openssl s_client, classic": () => foreignClient("classic"),
        suites,
        modern: () => wiretap(20 * MIB, "modern"),
        classic: () => wiretap(20 * MIB, "classic"),
      }),
  },
  { id: "6", title: "Fuzzed frames: no crash, no growth", run: () => hostileFrames({ iterations: 20_000, seed }) },
  { id: "7", title: "The spec's examples of sharing", run: () => testsPass("test/spec/") },
  {
    id: "8",
    title: "The bench row of peers; a channel beside a bare TLS socket; through the rigs",
    run: () =>
      inTurn({
        bench: () => benchRuns("12"),
        "local network": () => lanFetch({ bytes: 16 * 1024, runs: 5, boundMs: 1000 }),
        modern: () => channelSpeed({ bytes: 1024 * MIB, rounds: 5, suite: "modern", least: 0.8 }),
        classic: () => channelSpeed({ bytes: 512 * MIB, rounds: 3, suite: "classic", least: 0.8 }),
        rigs: () => natPaths({ pairs: NAT_PAIRS, bytes: 100 * MIB, signalDelayMs: 300 }),
      }),
  },
];
