/** What the daemon keeps is its owner's alone, whatever the umask: URLs and headers hold passwords. */
import assert from "node:assert/strict";
import { globSync, lstatSync } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { describe, test } from "node:test";
import { Home } from "../support/program.ts";

const mode = (path: string) => (lstatSync(path).mode & 0o777).toString(8);

describe("with a umask that lets everybody in", () => {
  test("folders of the daemon are 0700 and its files let nobody else in", async () => {
    await using home = await Home.create();
    const args = ["--daemon.listen=127.0.0.1:0", `--log.file=${join(home.path, "logs/snatchd.log")}`];
    const daemon = await home.start(args, ["sh", "-c", 'umask 0; exec "$@"', "sh"]);
    assert.equal((await home.ctl(["config", "set", "http.user_agent", "secret"])).code, 0);
    await daemon.kill("SIGTERM");
    for (const folder of ["state", "state/db", "logs"]) assert.equal(mode(join(home.path, folder)), "700", folder);
    // LevelDB makes its files as the umask says: their folder keeps them.
    const found = globSync("{state,logs}/*", { cwd: home.path });
    for (const path of ["state/token", "logs/snatchd.log"]) assert.ok(found.includes(path), `${found}`);
    const open = [...found.map((path) => join(home.path, path)), join(home.path, "config.toml")]
      .filter((path) => (lstatSync(path).mode & 0o077) !== 0)
      .map((path) => `${relative(home.path, path)} ${mode(path)}`);
    assert.deepEqual(open, []);
  });

  test("a database that others could look into is closed to them", async () => {
    await using home = await Home.create();
    await mkdir(join(home.path, "state"), { mode: 0o755 });
    const first = await home.start();
    await first.kill("SIGTERM");
    await chmod(join(home.path, "state/db"), 0o755);
    await home.start();
    assert.equal(mode(join(home.path, "state/db")), "700");
    assert.equal(mode(join(home.path, "state")), "755", "a state folder that somebody else made is theirs");
  });

  test("a configuration file keeps the rights that its owner gave it", async () => {
    await using home = await Home.create();
    await writeFile(join(home.path, "config.toml"), "max_retries = 3\n", { mode: 0o640 });
    await home.start();
    assert.equal((await home.ctl(["config", "set", "max_retries", "4"])).code, 0);
    assert.equal(mode(join(home.path, "config.toml")), "640");
  });
});
