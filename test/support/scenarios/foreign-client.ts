/** A gRPC client that is not ours (buf, in Go) finds the services by reflection, calls one of them, and asks for health. */
import { join } from "node:path";
import { Home } from "../program.ts";
import { runProgram } from "../run-program.ts";
import { Findings, type Outcome } from "./outcome.ts";

const BUF = join(import.meta.dirname, "../../../node_modules/.bin/buf");

const SERVICES = ["DaemonService", "DownloadService", "SessionService", "WatchFolderService"].map(
  (name) => `snatch.v1.${name}`,
);

/** Runs it. */
export async function foreignClient(): Promise<Outcome> {
  const findings = new Findings();
  await using home = await Home.create();
  const daemon = await home.start();
  const curl = async (...args: string[]) => {
    const base = ["curl", "--protocol", "grpc", "--http2-prior-knowledge", "--unix-socket", home.socket];
    const { code, stdout, stderr } = await runProgram(BUF, [...base, ...args], {
      env: { ...process.env, HOME: home.path },
    });
    findings.expect(code === 0, `buf ${args.join(" ")} exited ${code}: ${stderr.trim()}`);
    return stdout.trim();
  };
  const services = (await curl("--list-services", "http://localhost")).split(/\s+/);
  findings.note("services", services.join(" "));
  for (const name of [...SERVICES, "grpc.health.v1.Health"])
    findings.expect(services.includes(name), `${name} is not listed`);
  const health = await curl("http://localhost/grpc.health.v1.Health/Check");
  findings.note("health", health);
  findings.expect(JSON.parse(health || "{}").status === "SERVING", "it does not say that it serves");
  const status = JSON.parse((await curl("http://localhost/snatch.v1.DaemonService/GetStatus")) || "{}");
  findings.note("pid by reflection", status.pid);
  findings.expect(status.pid === daemon.pid, `the status names pid ${status.pid}, the daemon is ${daemon.pid}`);
  return findings.outcome();
}
