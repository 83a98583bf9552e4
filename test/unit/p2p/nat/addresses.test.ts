import assert from "node:assert/strict";
import type { NetworkInterfaceInfo } from "node:os";
import { suite, test } from "node:test";
import { chooseAddresses, localAddresses } from "../../../../src/daemon/p2p/nat/addresses.ts";

const ipv4 = (address: string, internal = false): NetworkInterfaceInfo => ({
  address,
  family: "IPv4",
  internal,
  netmask: "255.255.255.0",
  mac: "00:00:00:00:00:00",
  cidr: `${address}/24`,
});
const ipv6 = (address: string): NetworkInterfaceInfo => ({
  ...ipv4(address),
  family: "IPv6",
  netmask: "ffff:ffff:ffff:ffff::",
  cidr: `${address}/64`,
  scopeid: 0,
});
const lo = [ipv4("127.0.0.1", true)];

suite("addresses of this machine", () => {
  test("are those of the local network first, then global IPv6, without containers and link-local ones", () => {
    const interfaces = {
      lo,
      docker0: [ipv4("172.17.0.1")],
      "br-12ab": [ipv4("172.18.0.1")],
      veth77: [ipv6("2a00:1::77")],
      eth0: [ipv6("fe80::1"), ipv6("2a00:1::5"), ipv6("fd00::5"), ipv4("192.168.1.5")],
      eth1: [ipv4("100.200.0.7")],
    };
    assert.deepEqual(chooseAddresses(interfaces, ""), [
      { address: "192.168.1.5", kind: "lan" },
      { address: "2a00:1::5", kind: "ipv6" },
      { address: "100.200.0.7", kind: "direct" },
      { address: "fd00::5", kind: "lan" },
    ]);
  });

  test("are without temporary and deprecated ones, where the system tells", () => {
    const all = ["2a00:1::1", "2a00:1::2", "2a00:1::3", "2a00:1::4"];
    const line = (last: string, flags: string) => `2a0000010000000000000000000000${last} 02 40 00 ${flags}     eth0\n`;
    const flags = line("01", "80") + line("02", "01") + line("03", "21") + line("04", "a0");
    assert.deepEqual(chooseAddresses({ lo, eth0: all.map(ipv6) }, flags), [{ address: "2a00:1::1", kind: "ipv6" }]);
    assert.equal(chooseAddresses({ eth0: all.map(ipv6) }, "nonsense\n\n").length, 4);
  });

  test("are loopback only where there is nothing else", () => {
    assert.deepEqual(chooseAddresses({ lo, docker0: [ipv4("172.17.0.1")] }, ""), [
      { address: "127.0.0.1", kind: "lan" },
    ]);
    assert.deepEqual(chooseAddresses({}, ""), []);
  });

  test("are not more than six", () => {
    const many = Array.from({ length: 30 }, (_, index) => ipv4(`10.0.0.${index}`));
    assert.equal(chooseAddresses({ eth0: many }, "").length, 6);
  });

  test("are here, on this machine", async () => {
    assert.ok((await localAddresses()).length > 0);
  });
});
