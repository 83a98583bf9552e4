/** The router of this machine's default route (IPv4): NAT-PMP has no search, it asks that one. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { isIPv4 } from "node:net";
import { promisify } from "node:util";

/** Its address; undefined if there is none, or the system does not tell. */
export async function defaultGateway(): Promise<string | undefined> {
  try {
    if (process.platform === "linux") return gatewayOfTable(await readFile("/proc/self/net/route", "latin1"));
    if (process.platform !== "darwin") return undefined;
    const { stdout } = await promisify(execFile)("/sbin/route", ["-n", "get", "default"], { timeout: 2000 });
    const address = /gateway: (\S+)/.exec(stdout)?.[1] ?? "";
    return isIPv4(address) ? address : undefined;
  } catch {
    return undefined;
  }
}

/** Of a table as Linux writes it (proc(5), /proc/net/route): of several default routes the one of the least metric. */
export function gatewayOfTable(table: string): string | undefined {
  const rows = table.split("\n").map((line) => line.trim().split(/\s+/));
  const routes = rows.flatMap(([, destination, gateway = "", flags = "", , , metric, mask]) => {
    const hasGateway = (Number.parseInt(flags, 16) & 2) !== 0;
    const isDefault = destination === "00000000" && mask === "00000000" && hasGateway;
    return isDefault && /^[0-9A-F]{8}$/i.test(gateway) ? [{ gateway, metric: Number(metric) }] : [];
  });
  const [best] = routes.sort((a, b) => a.metric - b.metric);
  // In the machine's byte order, which is little-endian wherever Node runs on Linux but for s390x.
  const bytes = best && Buffer.from(best.gateway, "hex").reverse();
  return bytes?.join(".");
}
