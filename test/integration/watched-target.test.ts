/** The whole daemon: no download reaches a folder from which lists are taken. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { credentials } from "@grpc/grpc-js";
import { loadConfigWithOrigins } from "../../src/daemon/config/load.ts";
import { Daemon } from "../../src/daemon/daemon.ts";
import { SessionServiceClient } from "../../src/gen/snatch/v1/session_service.ts";
import { call } from "../support/rpc-server.ts";
import { waitFor } from "../support/wait.ts";

let home = "";
const origin = createServer((_request, response) => response.end("http://127.0.0.1:9/x\n  dir=/nowhere\n"));
before(async () => {
  home = await mkdtemp(join(tmpdir(), "snatch-watched-"));
  await new Promise<void>((resolve) => origin.listen(0, "127.0.0.1", resolve));
});
after(async () => {
  origin.close();
  await rm(home, { recursive: true, force: true });
});

test("a list that names the watched folder as its target does not bring the next list", async () => {
  const watch = join(home, "downloads", "lists");
  await writeFile(join(home, "config.toml"), `log.level = "error"\n[watch]\nfolders = ["${watch}"]\nsettle = 0.1\n`);
  const options = { home, env: {}, argv: [] };
  const load = () => loadConfigWithOrigins(join(home, "config.toml"), options);
  await using daemon = new Daemon({ loaded: await load(), load, options });
  await daemon.start();
  const { port } = origin.address() as { port: number };
  const outputs = ["lists/evil.txt", "lists/done/evil.txt", "lists/rejected/evil.txt"];
  const file = (name: string) => `<file name="${name}"><url>http://127.0.0.1:${port}/e</url></file>`;
  await writeFile(
    join(watch, "first.meta4"),
    `<metalink xmlns="urn:ietf:params:xml:ns:metalink">${outputs.map(file).join("")}</metalink>\n`,
  );
  const client = new SessionServiceClient(daemon.addresses[0] ?? "", credentials.createInsecure());
  const ended = await waitFor("the downloads to end", async () => {
    const request = { filter: "", pageSize: 10, pageToken: "", orderBy: "" };
    const { sessions } = await call(client.listSessions.bind(client, request));
    return sessions.length === 3 && sessions.every(({ error }) => error) && sessions;
  });
  client.close();
  for (const { error } of ended) assert.equal(error?.code, "TARGET_NOT_ALLOWED");
  const there = await readdir(watch, { recursive: true });
  assert.deepEqual(
    there.filter((name) => name.includes("evil")),
    [],
  );
});
