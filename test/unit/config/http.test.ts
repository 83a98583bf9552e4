/** Keys of the way to a host: what they take, and that a proxy's password is shown nowhere. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { configOf, loadConfigWithOrigins } from "../../../src/daemon/config/load.ts";
import { locate } from "../../../src/shared/paths.ts";
import { sandbox } from "./places.ts";

const proxyOf = (proxy: string) => configOf({ http: { proxy } }, locate("/tmp/nowhere")).http.proxy;

describe("http.proxy", () => {
  for (const text of [
    "",
    "direct",
    "proxy",
    "proxy:3128",
    "http://u:p@proxy:1/",
    "HTTPS://proxy",
    "socks5://[::1]:9",
    "socks5h://h",
  ])
    test(`takes "${text}"`, () => assert.equal(proxyOf(text), text));
  for (const text of ["socks4://u:s3cret@h", "u:s3cret @h", "http://u:s3cret@h/path"])
    test(`refuses "${text}", without showing it`, () =>
      assert.throws(
        () => proxyOf(text),
        (error: Error & { code: string }) => {
          assert.equal(error.code, "CONFIG_INVALID");
          assert.match(error.message, /^http\.proxy: expected a proxy's URL/);
          assert.doesNotMatch(error.message, /s3cret/);
          return true;
        },
      ));

  test("is shown without its password", async (context) => {
    const { env, file } = await sandbox(context);
    for (const proxy of ["http://jane:s3cret@proxy:3128", "jane:s3cret@proxy:3128"]) {
      const { values, config } = await loadConfigWithOrigins(await file("config.toml", `http.proxy = "${proxy}"`), {
        env,
      });
      const shown = values.find(({ key }) => key === "http.proxy")?.json ?? "";
      assert.match(shown, /\*\*\*@proxy:3128/);
      assert.doesNotMatch(shown, /s3cret/);
      assert.equal(config.http.proxy, proxy);
    }
  });
});

test("netrc is that of the home folder, and the number of connections is a polite one", async (context) => {
  const { env } = await sandbox(context);
  const { config } = await loadConfigWithOrigins(undefined, { env: { ...env, HOME: "/home/jane" } });
  assert.equal(config.http.netrc, "/home/jane/.netrc");
  assert.equal(config.http.max_retry_after, 86_400);
  assert.equal(config.http.allow_private_redirects, false);
  assert.deepEqual([config.connections_per_download, config.connections_per_host], [16, 16]);
});
