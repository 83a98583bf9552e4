/**
 * Everything that hangs on a download, in one real daemon: the two example plugins and a broken one, a command, and a webhook
 * whose receiver is away while the daemon is killed with -9.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256Of } from "../files.ts";
import { resourceOf, serve } from "../origins/origin.ts";
import { Home } from "../program.ts";
import { waitFor } from "../wait.ts";
import { type Delivery, isSigned, receiveWebhooks } from "../webhook-receiver.ts";
import { Findings, type Outcome } from "./outcome.ts";

const EXAMPLES = join(import.meta.dirname, "../../../examples");
const SECRET = "a secret of a receiver";
const CHUNK = 256 * 1024;

/** Runs it. @param size - bytes of each file */
export async function hooksAndPlugins({ size }: { readonly size: number }): Promise<Outcome> {
  const findings = new Findings();
  await using origin = await serve(resourceOf(randomBytes(size)), (call) => call.answer());
  const elsewhere = origin.base.replace("127.0.0.1", "localhost");
  await using receiver = await receiveWebhooks();
  const port = Number(new URL(receiver.url).port);
  await using home = await Home.create();
  const [plugins, diary, told] = ["plugins", "diary.jsonl", "told"].map((name) => join(home.path, name)) as [
    string,
    string,
    string,
  ];
  await mkdir(plugins, { mode: 0o755 });
  // Whatever the umask was with which the examples were checked out: only the owner may write.
  for (const name of ["telemetry.ts", "only-hosts.ts"])
    await writeFile(join(plugins, name), await readFile(join(EXAMPLES, name)), { mode: 0o644 });
  await writeFile(join(plugins, "broken.js"), "export default {", { mode: 0o644 });
  await writeFile(
    join(home.path, "config.toml"),
    `chunk_size = ${CHUNK}
[hooks]
on_complete = '''sh -c 'printf "%s %s\\n" "$SNATCH_SIZE" "$SNATCH_FILE" >> "${told}"' '''
[[hooks.webhooks]]
url = ${JSON.stringify(receiver.url)}
secret = ${JSON.stringify(SECRET)}
[plugins.telemetry.config]
file = ${JSON.stringify(diary)}
[plugins.only-hosts.config]
hosts = ["127.0.0.1"]
`,
  );

  let daemon = await home.start();
  const target = join(home.path, "$(touch pwned); rm.bin");
  const got = await home.ctl(["get", `${origin.base}/a.bin`, "-o", target, "--quiet"]);
  findings.expect(got.code === 0, `get exited ${got.code}: ${got.stderr}`);
  findings.expect(
    (await sha256Of(target).catch(() => "")) === createHash("sha256").update(origin.resource.bytes).digest("hex"),
    "wrong bytes",
  );
  const refused = await home.ctl(["get", `${elsewhere}/b.bin`, "--quiet"]);
  findings.expect(
    refused.code === 9 && /VETOED.*only-hosts.*localhost/.test(refused.stderr),
    `veto: ${refused.code} ${refused.stderr}`,
  );
  const seen = await receiver.received(2);
  findings.expect(isSigned(seen[0] as Delivery, SECRET), "the webhook's signature is not right");
  findings.expect(typesOf(seen) === "download.completed download.failed", `webhooks: ${typesOf(seen)}`);
  const doctor = await home.ctl(["doctor", "--json"]);
  findings.expect(
    /broken.*SyntaxError/.test(doctor.stdout),
    `doctor does not name the broken plugin: ${doctor.stdout}`,
  );

  // Nobody listens, the daemon is killed; the message is delivered when both are back.
  await receiver[Symbol.asyncDispose]();
  const second = await home.ctl(["get", `${origin.base}/c.bin`, "--quiet"]);
  findings.expect(second.code === 0, `get exited ${second.code}: ${second.stderr}`);
  await daemon.kill();
  await using again = await receiveWebhooks(undefined, port);
  daemon = await home.start();
  const late = await again.received(1);
  findings.expect(/c\.bin/.test(late[0]?.body ?? ""), `after the restart: ${late[0]?.body}`);

  const lines = await waitFor("both commands", async () => {
    const text = await readFile(told, "utf8").catch(() => "");
    return text.split("\n").length > 2 && text;
  });
  findings.expect(lines.startsWith(`${size} ${target}\n`), `the command was told: ${lines}`);
  await daemon.kill("SIGTERM");
  const entries = (await readFile(diary, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const end = entries.find(({ event, path }) => event === "end" && path === target);
  findings.expect(
    end?.bytes === size && end.chunks === Math.ceil(size / CHUNK),
    `the diary says: ${JSON.stringify(end)}`,
  );
  findings.note("bytes of each file", size);
  findings.note("webhooks", `${typesOf(seen)}; after kill -9 and a restart: ${typesOf(late)}`);
  findings.note("command", lines.trimEnd().replaceAll("\n", "; "));
  findings.note("veto", refused.stderr.split("\n")[0] ?? "");
  findings.note("diary", entries.map(({ event }) => event).join(" "));
  return findings.outcome();
}

const typesOf = (deliveries: readonly Delivery[]) => deliveries.map(({ body }) => JSON.parse(body).type).join(" ");
