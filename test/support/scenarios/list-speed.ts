/** How long `snatchctl list` takes, from start to exit, against a running daemon that knows many sessions. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryFolder } from "../files.ts";
import { median } from "../median.ts";
import { startNginx } from "../nginx.ts";
import { Home } from "../program.ts";
import { Findings, type Outcome } from "./outcome.ts";

/** Runs it. */
export async function listSpeed(options: {
  readonly sessions: number;
  readonly runs: number;
  readonly limitMs: number;
}): Promise<Outcome> {
  const findings = new Findings();
  await using www = await temporaryFolder();
  await writeFile(join(www.path, "small.txt"), "small\n");
  await using nginx = await startNginx({ root: www.path });
  await using home = await Home.create({ config: "max_concurrent_downloads = 8\n" });
  await home.start();
  const urls = Array.from(
    { length: options.sessions },
    (_, index) => `${nginx.http}/small.txt?${index}\n  out=small-${index}.txt\n`,
  );
  const got = await home.ctl(["get", "-i", "-", "--quiet"], { input: urls.join("") });
  findings.expect(got.code === 0, `get exited ${got.code}: ${got.stderr}`);
  const times: number[] = [];
  let shown = 0;
  for (let run = 0; run < options.runs; run++) {
    const { code, ms, stdout, stderr } = await home.ctl(["list"]);
    findings.expect(code === 0, `list exited ${code}: ${stderr}`);
    shown = stdout.split("\n").filter((line) => line.includes("completed")).length;
    times.push(ms);
  }
  findings.note("sessions listed", shown);
  findings.note("median ms", median(times).toFixed(1));
  findings.note("all ms", times.map((ms) => ms.toFixed(0)).join(" "));
  findings.expect(shown >= options.sessions, `only ${shown} sessions were listed`);
  findings.expect(median(times) <= options.limitMs, `the median is above ${options.limitMs} ms`);
  return findings.outcome();
}
