/** Where the server listens and whom it lets in: sockets and their rights, tokens, TLS, draining. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type CallOptions, type ChannelCredentials, credentials, Metadata, status } from "@grpc/grpc-js";
import { CacheServiceClient } from "../../src/gen/snatch/v1/cache_service.ts";
import { DaemonServiceClient } from "../../src/gen/snatch/v1/daemon_service.ts";
import { DownloadServiceClient } from "../../src/gen/snatch/v1/download_service.ts";
import { DownloadOptions } from "../../src/gen/snatch/v1/session.ts";
import { SessionServiceClient, type WatchSessionsResponse } from "../../src/gen/snatch/v1/session_service.ts";
import { WatchFolderServiceClient } from "../../src/gen/snatch/v1/watch_folder_service.ts";
import { call, errorOf, rpcFixture } from "../support/rpc-server.ts";
import { detailsOf } from "../support/rpc-status.ts";
import { missing, requireTool } from "../support/tools.ts";
import { waitFor } from "../support/wait.ts";

const bearer = (token: string): Metadata => {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  return metadata;
};

/** Asks for the status, on a connection of its own. */
async function ask(
  address: string,
  options: Partial<CallOptions> & { readonly metadata?: Metadata } = {},
  security: ChannelCredentials = credentials.createInsecure(),
) {
  const client = new DaemonServiceClient(address, security);
  try {
    return await call(client.getStatus.bind(client, {}), { deadline: Date.now() + 5000, ...options });
  } finally {
    client.close();
  }
}

describe("the Unix socket", () => {
  test("is its owner's alone, in a folder that is too, and goes with the server", async () => {
    await using fixture = await rpcFixture();
    await fixture.server.start();
    assert.equal((await stat(fixture.socket)).mode & 0o777, 0o600);
    assert.equal((await stat(join(fixture.folder, "run"))).mode & 0o777, 0o700);
    assert.deepEqual(fixture.server.addresses(), [`unix:${fixture.socket}`]);
    assert.equal((await ask(`unix:${fixture.socket}`)).pid, process.pid);
    await assert.rejects(stat(fixture.tokenFile), { code: "ENOENT" }, "no token without TCP");
    await fixture.server.drain(100);
    await assert.rejects(stat(fixture.socket), { code: "ENOENT" });
  });

  test("that a dead daemon left behind is replaced", async () => {
    await using fixture = await rpcFixture();
    await mkdir(join(fixture.folder, "run"));
    const script = `require("node:net").createServer().listen(${JSON.stringify(fixture.socket)}, () => console.log("up"))`;
    const other = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    await once(other.stdout, "data");
    other.kill("SIGKILL");
    await once(other, "exit");
    assert.ok((await stat(fixture.socket)).isSocket());
    await fixture.server.start();
    await ask(`unix:${fixture.socket}`);
  });

  test("on which somebody answers is left alone", async () => {
    await using fixture = await rpcFixture();
    await fixture.server.start();
    await using second = await rpcFixture({ socketPath: fixture.socket });
    await assert.rejects(second.server.start(), { code: "ALREADY_RUNNING" });
    await ask(`unix:${fixture.socket}`);
  });

  test("is never made of something else that lies there", async () => {
    await using fixture = await rpcFixture();
    await mkdir(join(fixture.folder, "run"));
    await writeFile(fixture.socket, "precious");
    await assert.rejects(fixture.server.start(), { code: "CONFIG_INVALID", message: /not a socket/ });
    assert.equal(await readFile(fixture.socket, "utf8"), "precious");
  });

  test("with too long a path is refused with its length", async () => {
    const socketPath = `/tmp/${"long/".repeat(30)}snatchd.sock`;
    await using fixture = await rpcFixture({ socketPath });
    await assert.rejects(fixture.server.start(), { code: "CONFIG_INVALID", message: /has 167 bytes.*takes 107/ });
  });

  test("may be opened by the service manager", { skip: process.platform !== "linux" }, async () => {
    await using fixture = await rpcFixture();
    // The parent binds and passes the descriptor on as systemd does: number 3, LISTEN_FDS and LISTEN_PID.
    const path = join(fixture.folder, "activated.sock");
    const listener = createServer();
    await new Promise<void>((resolve) => listener.listen(path, resolve));
    const { fd } = (listener as unknown as { _handle: { fd: number } })._handle;
    const script = fileURLToPath(new URL("../support/scenarios/activated-rpc.ts", import.meta.url));
    const child = spawn(process.execPath, [script, join(fixture.folder, "run", "own.sock")], {
      stdio: ["pipe", "pipe", "inherit", fd],
      env: { ...process.env, LISTEN_FDS: "1" },
    });
    try {
      const [printed] = await once(child.stdout as Readable, "data");
      assert.deepEqual(JSON.parse(String(printed)), [
        `unix:${path}`,
        `unix:${join(fixture.folder, "run", "own.sock")}`,
      ]);
      // Closing takes the file along, which must stay here.
      await rename(path, `${path}.kept`);
      listener.close();
      await rename(`${path}.kept`, path);
      assert.equal((await ask(`unix:${path}`)).pid, child.pid);
    } finally {
      child.stdin?.end();
      await once(child, "exit");
    }
  });
});

describe("TCP", () => {
  test("wants the token, for every service", async () => {
    await using fixture = await rpcFixture({ listen: ["127.0.0.1:0"] });
    await fixture.server.start();
    const [address = ""] = fixture.tcp();
    const token = (await readFile(fixture.tokenFile, "utf8")).trim();
    assert.equal((await stat(fixture.tokenFile)).mode & 0o777, 0o600);
    assert.equal((await ask(address, { metadata: bearer(token) })).pid, process.pid);
    for (const metadata of [new Metadata(), bearer(`${token}x`), bearer(token.slice(1)), bearer("")]) {
      const error = await errorOf(ask(address, { metadata }));
      assert.equal(error.code, status.UNAUTHENTICATED);
      assert.equal(detailsOf(error).info?.reason, "UNAUTHENTICATED");
    }
    assert.equal(fixture.logger.lines.filter(({ message }) => message.startsWith("call refused")).length, 4);
    assert.doesNotMatch(JSON.stringify(fixture.logger.lines), new RegExp(token));
    const sessions = new SessionServiceClient(address, credentials.createInsecure());
    const [error] = await once(sessions.watchSessions({ filter: "" }), "error");
    assert.equal(error.code, status.UNAUTHENTICATED);
    sessions.close();
  });

  test("reaches less: targets, configuration, watch folders, export", async () => {
    await using fixture = await rpcFixture({ listen: ["127.0.0.1:0"] });
    await fixture.server.start();
    await mkdir(join(fixture.folder, "downloads"));
    const [address = ""] = fixture.tcp();
    const metadata = bearer((await readFile(fixture.tokenFile, "utf8")).trim());
    const downloads = new DownloadServiceClient(address, credentials.createInsecure());
    const add = async (options: Partial<DownloadOptions>) => {
      const wanted = { urls: ["https://example.org/a"], options: { ...DownloadOptions.fromPartial({}), ...options } };
      const { results } = await call(downloads.addDownloads.bind(downloads, { downloads: [wanted] }), { metadata });
      const result = results[0]?.result;
      return result?.$case === "error" ? result.value.code : result?.$case;
    };
    assert.equal(await add({ output: "/etc/cron.d/x" }), "TARGET_NOT_ALLOWED");
    assert.equal(await add({ directory: join(fixture.folder, "downloads/../..") }), "TARGET_NOT_ALLOWED");
    assert.equal(await add({ output: join(fixture.folder, "downloads/deep/a.bin") }), "session");

    const stream = downloads.addList(metadata, () => {});
    stream.write({ part: { $case: "header", value: { name: "l", options: undefined } } });
    stream.end();
    const job = await waitFor("the list arrives", () => fixture.daemon.jobs[0]);
    assert.deepEqual(job.allowedDirectories, [join(fixture.folder, "downloads")]);

    const house = new DaemonServiceClient(address, credentials.createInsecure());
    const set = house.setConfig.bind(house, { valuesJson: { chunk_size: "1" } });
    assert.equal((await errorOf(call(set, { metadata }))).code, status.PERMISSION_DENIED);
    const folders = new WatchFolderServiceClient(address, credentials.createInsecure());
    const own = join(fixture.folder, "downloads", "lists");
    for (const request of [
      folders.addWatchFolder.bind(folders, { path: own, directory: "" }),
      folders.removeWatchFolder.bind(folders, { path: own }),
    ])
      assert.equal((await errorOf(call<unknown>(request, { metadata }))).code, status.PERMISSION_DENIED);
    const cache = new CacheServiceClient(address, credentials.createInsecure());
    for (const request of [
      cache.cleanCache.bind(cache, {}),
      cache.compactCache.bind(cache, {}),
      cache.clearCache.bind(cache, { kind: "CACHE_KIND_UNSPECIFIED" }),
    ])
      assert.equal((await errorOf(call<unknown>(request, { metadata }))).code, status.PERMISSION_DENIED);
    assert.deepEqual(fixture.daemon.cared, []);
    assert.equal((await call(cache.getCacheStats.bind(cache, {}), { metadata })).bytes, 5000);
    const sessions = new SessionServiceClient(address, credentials.createInsecure());
    const [error] = await once(sessions.exportSessions({ filter: "" }, metadata), "error");
    assert.equal(detailsOf(error).info?.reason, "PERMISSION_DENIED");
    for (const client of [downloads, house, folders, cache, sessions]) client.close();
  });

  test("beyond loopback wants TLS, and a token file for its owner only", async () => {
    for (const listen of [["0.0.0.0:0"], ["[::]:0"]]) {
      await using fixture = await rpcFixture({ listen });
      await assert.rejects(fixture.server.start(), { code: "CONFIG_INVALID", message: /needs tls_cert and tls_key/ });
      await assert.rejects(stat(fixture.socket), { code: "ENOENT" }, "nothing listens after a refusal");
    }
    await using half = await rpcFixture({ listen: ["0.0.0.0:0"], tlsCert: "/nowhere.pem" });
    await assert.rejects(half.server.start(), { code: "CONFIG_INVALID", message: /belong together/ });
    await using open = await rpcFixture({ listen: ["127.0.0.1:0"] });
    await writeFile(open.tokenFile, "a-token-of-many-characters");
    await chmod(open.tokenFile, 0o644);
    await assert.rejects(open.server.start(), { code: "CONFIG_INVALID", message: /can be read by others/ });
  });

  test("speaks TLS where a certificate is given", { skip: missing("openssl") }, async () => {
    await using keys = await rpcFixture();
    const [tlsKey, tlsCert] = [join(keys.folder, "key.pem"), join(keys.folder, "cert.pem")];
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    execFileSync(
      requireTool("openssl"),
      ["req", "-x509", ...curve, "-nodes", "-keyout", tlsKey, "-out", tlsCert, ...subject],
      {
        stdio: "ignore",
      },
    );
    await using fixture = await rpcFixture({ listen: ["0.0.0.0:0"], tlsCert, tlsKey });
    await fixture.server.start();
    const address = (fixture.tcp()[0] ?? "").replace("0.0.0.0", "127.0.0.1");
    const metadata = bearer((await readFile(fixture.tokenFile, "utf8")).trim());
    const secure = credentials.createSsl(await readFile(tlsCert));
    assert.equal((await ask(address, { metadata }, secure)).pid, process.pid);
    assert.equal((await errorOf(ask(address, {}, secure))).code, status.UNAUTHENTICATED);
    assert.equal(
      (await errorOf(ask(address, { metadata, deadline: Date.now() + 300 }))).code > 0,
      true,
      "no plain text",
    );
  });

  test("an address that is taken is named", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as { port: number };
    await using fixture = await rpcFixture({ listen: [`127.0.0.1:${port}`] });
    await assert.rejects(fixture.server.start(), {
      code: "CONFIG_INVALID",
      message: new RegExp(`cannot listen on 127.0.0.1:${port}: another program does`),
    });
    other.close();
  });

  test("rubbish on the wire hurts nobody", async () => {
    await using fixture = await rpcFixture({ listen: ["127.0.0.1:0"] });
    await fixture.server.start();
    const [address = ""] = fixture.tcp();
    const port = Number(address.split(":")[1]);
    const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const frame = "\u0000\u0000\u0004\u0008\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000";
    for (const bytes of [
      "GET / HTTP/1.1\r\n\r\n",
      "\u0016\u0003\u0001",
      preface + frame,
      preface,
      "x".repeat(100_000),
    ]) {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => {});
      await once(socket, "connect");
      socket.write(bytes, "latin1", () => socket.resetAndDestroy());
      await once(socket, "close");
    }
    await ask(`unix:${fixture.socket}`);
  });
});

describe("draining", () => {
  test("ends streams with SHUTTING_DOWN, finishes answers under way, and keeps its deadline", async () => {
    await using fixture = await rpcFixture();
    await fixture.server.start();
    const address = `unix:${fixture.socket}`;
    const sessions = new SessionServiceClient(address, credentials.createInsecure());
    const house = new DaemonServiceClient(address, credentials.createInsecure());
    const watch = sessions.watchSessions({ filter: "" });
    const seen: WatchSessionsResponse[] = [];
    watch.on("data", (message: WatchSessionsResponse) => seen.push(message));
    const ended = once(watch, "error");
    await once(watch, "data");
    const endless = errorOf(call(house.runChecks.bind(house, { checkIds: ["endless"] })));
    await call(house.getStatus.bind(house, {}));

    const begun = performance.now();
    const drained = fixture.server.drain(300);
    const [error] = await ended;
    assert.equal(error.code, status.UNAVAILABLE);
    assert.equal(detailsOf(error).info?.reason, "SHUTTING_DOWN");
    await drained;
    const took = performance.now() - begun;
    assert.ok(took >= 290 && took < 3000, `drained in ${took} ms`);
    assert.notEqual((await endless).code, status.OK);
    assert.equal(fixture.server.openStreams, 0);
    for (const client of [sessions, house]) client.close();
  });

  test("is quick when nothing is under way", async () => {
    await using fixture = await rpcFixture();
    await fixture.server.start();
    await ask(`unix:${fixture.socket}`);
    const begun = performance.now();
    await fixture.server.drain(10_000);
    assert.ok(performance.now() - begun < 2000);
  });
});
