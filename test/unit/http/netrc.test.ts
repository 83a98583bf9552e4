/** The netrc file: what is read, and whose login is told to whom. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { findLogin, parseNetrc } from "../../../src/daemon/http/netrc.ts";

const FILE = `
# a comment with machine words login in it
machine Example.org login jane password "two words \\"quoted\\" \\\\"
machine many.test
	login first
	password one
machine many.test login second password two account ignored
macdef init
  machine hidden.test login x password y
  put it

machine after.test login # password #sharp
default login anonymous password me@
`;

describe("the file", () => {
  test("entries, quotes, macros, comments", () => {
    const { value, problems } = parseNetrc(FILE);
    assert.deepEqual(problems, []);
    assert.deepEqual(value, [
      { machine: "example.org", login: "jane", password: 'two words "quoted" \\' },
      { machine: "many.test", login: "first", password: "one" },
      { machine: "many.test", login: "second", password: "two" },
      { machine: "after.test", login: "#", password: "#sharp" },
      { machine: undefined, login: "anonymous", password: "me@" },
    ]);
  });

  test("what is no netrc is told by its line, not by its words", () => {
    const { value, problems } = parseNetrc("machine a login b password my secret phrase\nmachine c login d\n");
    assert.deepEqual(value, [{ machine: "a", login: "b", password: "my" }]);
    assert.deepEqual(problems, ["line 1: a word that is not of netrc; the rest of the file is not read"]);
    assert.equal(parseNetrc("login x\n").problems.length, 1);
  });

  test("anything can be read", () =>
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'machine login\n"\\# \tdefault') }), (text) => {
        for (const { machine } of parseNetrc(text).value) assert.notEqual(machine, "");
      }),
    ));
});

describe("the login for a host", () => {
  const { value: netrc } = parseNetrc(FILE);
  const find = (host: string, more: { login?: string; own?: boolean } = {}) =>
    findLogin(netrc, host, { own: false, ...more })?.password;
  test("is the first that names it", () => {
    assert.equal(find("many.test"), "one");
    assert.equal(find("EXAMPLE.org")?.slice(0, 3), "two");
  });
  test("or the one of the user that was given", () => {
    assert.equal(find("many.test", { login: "second" }), "two");
    assert.equal(find("many.test", { login: "third" }), undefined);
  });
  test("or the default, but not where only the host's own may be used", () => {
    assert.equal(find("x.many.test"), "me@");
    assert.equal(find("x.many.test", { own: true }), undefined);
    assert.equal(find("many.test", { own: true }), "one");
  });
  test("nothing inside of a macro counts", () => assert.equal(find("hidden.test", { own: true }), undefined));
});
