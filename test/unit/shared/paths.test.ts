import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { locate } from "../../../src/shared/paths.ts";

describe("places", () => {
  test("one folder holds everything", () => {
    const expected = {
      configFile: "/h/config.toml",
      stateDir: "/h/state",
      cacheDir: "/h/cache",
      socket: "/h/snatchd.sock",
      downloadDir: "/h/downloads",
      watchDir: "/h/watch",
      logFile: "/h/state/snatchd.log",
      tokenFile: "/h/state/token",
      pluginDir: "/h/plugins",
    };
    assert.deepEqual(locate("/h", { SNATCH_HOME: "/other" }), expected);
    assert.deepEqual(locate(undefined, { SNATCH_HOME: "/h", STATE_DIRECTORY: "/s" }), expected);
    assert.equal(locate("h", {}).stateDir, `${process.cwd()}/h/state`);
  });

  test("a person's folders, by the XDG specification", () => {
    assert.deepEqual(locate(undefined, { HOME: "/home/u", SNATCH_HOME: "" }), {
      configFile: "/home/u/.config/snatch/config.toml",
      stateDir: "/home/u/.local/state/snatch",
      cacheDir: "/home/u/.cache/snatch",
      socket: "/home/u/.local/state/snatch/snatchd.sock",
      downloadDir: "/home/u/Downloads",
      watchDir: "/home/u/snatch-watch",
      logFile: "/home/u/.local/state/snatch/snatchd.log",
      tokenFile: "/home/u/.local/state/snatch/token",
      pluginDir: "/home/u/.config/snatch/plugins",
    });
    const named = locate(undefined, {
      HOME: "/home/u",
      XDG_CONFIG_HOME: "/c",
      XDG_STATE_HOME: "/s",
      XDG_CACHE_HOME: "relative/is/ignored",
      XDG_RUNTIME_DIR: "/run/user/1",
      XDG_DOWNLOAD_DIR: "/d",
    });
    assert.equal(named.configFile, "/c/snatch/config.toml");
    assert.equal(named.stateDir, "/s/snatch");
    assert.equal(named.cacheDir, "/home/u/.cache/snatch");
    assert.equal(named.socket, "/run/user/1/snatch/snatchd.sock");
    assert.equal(named.downloadDir, "/d");
  });

  test("a service's folders, by systemd", () => {
    const paths = locate(undefined, {
      HOME: "/",
      STATE_DIRECTORY: "/var/lib/snatch:/var/lib/more",
      CACHE_DIRECTORY: "/var/cache/snatch",
      RUNTIME_DIRECTORY: "/run/snatch",
      CONFIGURATION_DIRECTORY: "/etc/snatch",
      XDG_DOWNLOAD_DIR: "/d",
    });
    assert.deepEqual(
      [paths.configFile, paths.stateDir, paths.cacheDir, paths.socket, paths.downloadDir, paths.watchDir],
      [
        "/etc/snatch/config.toml",
        "/var/lib/snatch",
        "/var/cache/snatch",
        "/run/snatch/snatchd.sock",
        "/var/lib/snatch/downloads",
        "/var/lib/snatch/watch",
      ],
    );
  });
});
