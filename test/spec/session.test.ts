/** The specification's session section: persistence, the schema, concurrency, clean-up, hooks. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DownloadManager, SessionManager } from "snatch";
import { libraryHome } from "../support/library.ts";
import { resourceOf, serve } from "../support/origins/origin.ts";

const bytes = Buffer.alloc(600_000, "session ");

describe("spec: session", () => {
  test("a session outlives the program that made it", async () => {
    await using home = await libraryHome();
    let id = "";
    {
      await using sessions = new SessionManager({}, { home: home.home });
      await sessions.start();
      const [session] = await sessions.create([{ url: "https://example.com/a", mirrors: [], options: {} }]);
      id = session?.id ?? "";
    }
    await using sessions = new SessionManager({}, { home: home.home });
    await sessions.start();
    assert.equal((await sessions.get(id))?.status, "queued");
  });

  test("the schema, as exported", async () => {
    await using origin = await serve(resourceOf(bytes), (call) => call.answer());
    await using home = await libraryHome();
    await using manager = new DownloadManager({}, { home: home.home });
    const [result] = await manager.download([origin.url], { format: "bestaudio", quality: "320k" });
    const session = await manager.sessions.find(result?.sessionId ?? "");
    const schema = JSON.parse(manager.sessions.exportLine(session)) as Record<string, unknown>;
    assert.match(String(schema["session_id"]), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(schema["url"], origin.url);
    assert.equal(schema["status"], "completed");
    for (const key of ["created_at", "updated_at"]) assert.ok(!Number.isNaN(Date.parse(String(schema[key]))), key);
    assert.deepEqual(schema["progress"], {
      downloaded_bytes: bytes.length,
      total_bytes: bytes.length,
      percentage: 100,
    });
    assert.deepEqual(schema["metadata"], { title: "file.bin", format: "bestaudio", quality: "320k" });
    assert.equal(schema["error_info"], null);
    assert.ok("options" in schema);
  });

  test("hooks: creation, updates, milestones, errors, clean-up", async () => {
    await using origin = await serve(resourceOf(bytes), (call) =>
      call.seen.path === "/gone" ? call.send(410, {}) : call.answer(),
    );
    await using home = await libraryHome();
    await using manager = new DownloadManager({ chunk_size: 65536 }, { home: home.home });
    const seen: string[] = [];
    manager.registerHooks("watcher", {
      onCreated: () => void seen.push("created"),
      onUpdated: (session, previous) => void (session.status !== previous.status && seen.push(session.status)),
      onProgress: (_session, milestone) => void seen.push(`${milestone} %`),
      onSessionError: (session) => void seen.push(session.error?.code ?? ""),
      onCleaned: () => void seen.push("cleaned"),
    });
    const [good, bad] = await manager.download([origin.url, `${origin.base}/gone`]);
    await manager.remove({ ids: [good?.sessionId ?? "", bad?.sessionId ?? ""] });
    for (const event of [
      "created",
      "active",
      "25 %",
      "50 %",
      "75 %",
      "100 %",
      "completed",
      "HTTP_GONE",
      "failed",
      "cleaned",
    ])
      assert.ok(seen.includes(event), `${event} in ${seen.join(", ")}`);
  });
});
