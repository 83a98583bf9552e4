/** Whether the daemon answers a call like any other caller's: what the watchdog is fed by. */
import { credentials, Metadata } from "@grpc/grpc-js";
import { DaemonServiceClient } from "../../gen/snatch/v1/daemon_service.ts";

/** Milliseconds that an answer may take. */
const DEADLINE_MS = 5000;

/** @param address - the daemon's own Unix socket, such as "unix:/run/snatch/snatchd.sock" */
export async function answersItself(address: string): Promise<boolean> {
  const client = new DaemonServiceClient(address, credentials.createInsecure());
  const { promise, resolve } = Promise.withResolvers<boolean>();
  client.getStatus({}, new Metadata(), { deadline: Date.now() + DEADLINE_MS }, (error) => resolve(error === null));
  return promise.finally(() => client.close());
}
