/**
 * Compiles the command line ahead: runs `snatchctl list` in this process, against a server that answers as a daemon does,
 * and keeps V8's code of all that it used (see src/client/fast-start.ts). Called by the build with the bundle's path.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type handleUnaryCall, Server, ServerCredentials } from "@grpc/grpc-js";
import { codeFile, readScript, runScript } from "../src/client/fast-start.ts";
import { SessionStatus } from "../src/gen/snatch/v1/session.ts";
import { ListSessionsResponse, SessionServiceService } from "../src/gen/snatch/v1/session_service.ts";

const bundle = resolve(process.argv[2] ?? "");
const folder = mkdtempSync(join(tmpdir(), "snatch-build-"));
const socket = join(folder, "s");
const answer = ListSessionsResponse.fromPartial({
  sessions: [
    {
      sessionId: "00000000-0000-4000-8000-000000000000",
      url: "https://example.org/file.iso",
      status: SessionStatus.COMPLETED,
      progress: { downloadedBytes: 4_000_000, totalBytes: 4_000_000, percentage: 100, bytesPerSecond: 1000 },
      metadata: { title: "file.iso" },
      path: "/file.iso",
    },
  ],
  statusCounts: { completed: 1 },
});

const server = new Server();
const listSessions: handleUnaryCall<unknown, ListSessionsResponse> = (_call, callback) => callback(null, answer);
server.addService({ listSessions: SessionServiceService.listSessions }, { listSessions });
await new Promise<void>((resolve, reject) =>
  server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
    error ? reject(error) : resolve(),
  ),
);
const script = readScript(bundle);
// The program ends the process when it is done.
process.once("exit", (exit) => {
  if (exit === 0) writeFileSync(codeFile(bundle), script.createCachedData());
  rmSync(folder, { recursive: true, force: true });
});
void runScript(script, bundle).main([process.execPath, "snatchctl", "list", "--address", `unix:${socket}`]);
