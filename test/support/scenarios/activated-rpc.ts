/** A program that serves RPC on the sockets it was given and on its own; ends with its standard input. */
import { once } from "node:events";
import { rpcFixture } from "../rpc-server.ts";

const [socketPath = ""] = process.argv.slice(2);
await using fixture = await rpcFixture({
  socketPath,
  // The parent cannot know the number of the process that it is about to make.
  environment: { ...process.env, LISTEN_PID: String(process.pid) },
});
await fixture.server.start();
console.log(JSON.stringify(fixture.server.addresses()));
process.stdin.resume();
await once(process.stdin, "end");
