/** Where addresses lie, and where a redirect may lead. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type AddressKind, addressKind } from "../../../src/daemon/core/address-kind.ts";
import { hostKind, mayLead, requirePort, SeenHosts } from "../../../src/daemon/http/network-policy.ts";

describe("addresses", () => {
  const kinds: Readonly<Record<AddressKind, readonly string[]>> = {
    public: [
      "8.8.8.8",
      "172.32.0.1",
      "100.128.0.1",
      "2606:4700::1111",
      "::ffff:8.8.8.8",
      "64:ff9b::808:808",
      "2002:808:808::1",
    ],
    private: [
      "10.0.0.1",
      "172.16.0.1",
      "172.31.255.255",
      "192.168.1.1",
      "100.64.0.1",
      "198.18.0.1",
      "224.0.0.1",
      "255.255.255.255",
    ].concat([
      "fd12::1",
      "fec0::1",
      "ff02::1",
      "2001:db8::1",
      "::ffff:10.0.0.1",
      "64:ff9b::a00:1",
      "2002:a00:1::1",
      "3fff::1",
      "4000::1",
      "5f00::1",
      "fe00::1",
      "::ffff:0:a00:1",
      "no",
      "",
    ]),
    loopback: [
      "127.0.0.1",
      "127.255.0.1",
      "0.0.0.0",
      "::1",
      "::",
      "::ffff:127.0.0.1",
      "::ffff:7f00:1",
      "0:0:0:0:0:0:0:1",
      "64:ff9b::7f00:1",
      "::ffff:0:7f00:1",
    ],
    "link-local": [
      "169.254.169.254",
      "fe80::1",
      "fe80::1%eth0",
      "fd00:ec2::254",
      "::ffff:169.254.169.254",
      "168.63.129.16",
    ],
  };
  for (const [kind, addresses] of Object.entries(kinds))
    for (const address of addresses) test(`${address} is ${kind}`, () => assert.equal(addressKind(address), kind));

  test("every IPv4 address lies where it lies, also inside of an IPv6 one", () =>
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        const [a = 0, b = 0, c = 0, d = 0] = address.split(".").map(Number);
        const hex = `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
        for (const inner of [`::ffff:${address}`, `64:ff9b::${hex}`, `2002:${hex}::`])
          assert.equal(addressKind(inner), addressKind(address), inner);
      }),
    ));

  test("names tell as much as they can", () => {
    assert.equal(hostKind("[::1]"), "loopback");
    assert.equal(hostKind("x.LOCALHOST"), "loopback");
    assert.equal(hostKind("10.0.0.1"), "private");
    assert.equal(hostKind("example.org"), "public");
    for (const name of [
      "router",
      "nas.local",
      "NAS.LAN.",
      "git.internal",
      "tv.home.arpa",
      "x.y.intranet",
      "h.localdomain",
    ])
      assert.equal(hostKind(name), "private", name);
    for (const spelling of ["http://0x7f.1/", "http://2130706433/", "http://127.1/"])
      assert.equal(hostKind(new URL(spelling).hostname), "loopback");
  });
});

describe("a redirect", () => {
  const all: readonly AddressKind[] = ["public", "private", "loopback", "link-local"];
  const allowed: Readonly<Record<AddressKind, readonly AddressKind[]>> = {
    public: ["public"],
    private: ["public", "private"],
    loopback: ["public", "private", "loopback"],
    "link-local": ["public", "link-local"],
  };
  for (const from of all)
    test(`from ${from} addresses`, () =>
      assert.deepEqual(
        all.filter((to) => mayLead(from, to)),
        allowed[from],
      ));
  test("is not what a person gave", () => assert.ok(all.every((to) => mayLead(undefined, to))));
  test("leads to no port of another protocol", () => {
    assert.throws(() => requirePort(new URL("http://a.test:25/")), { code: "ADDRESS_NOT_ALLOWED" });
    for (const url of ["http://a.test/", "https://a.test/", "http://a.test:8080/"]) requirePort(new URL(url));
  });
});

describe("hosts that were seen", () => {
  test("are where they were, and public for good", () => {
    const seen = new SeenHosts();
    assert.equal(seen.kindOf("nas.test"), "public");
    // A name that sounds like home gives nobody the rights of home.
    assert.equal(seen.kindOf("router"), "public");
    assert.equal(seen.kindOf("10.0.0.1"), "private");
    seen.note("nas.test", "private");
    assert.equal(seen.kindOf("nas.test"), "private");
    seen.note("nas.test", undefined);
    assert.equal(seen.kindOf("nas.test"), "private");
    seen.note("nas.test", "public");
    seen.note("nas.test", "private");
    assert.equal(seen.kindOf("nas.test"), "public");
  });

  test("are not remembered without end", () => {
    const seen = new SeenHosts();
    for (let i = 0; i <= 1000; i++) seen.note(`h${i}.test`, "private");
    assert.equal(seen.kindOf("h0.test"), "public");
    assert.equal(seen.kindOf("h1000.test"), "private");
  });
});
