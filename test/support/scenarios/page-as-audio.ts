/**
 * A page with a JSON-LD VideoObject and a master playlist: asked for its best audio at 320k it becomes an audio file, and the
 * session says what was asked for and what was had.
 */
import { temporaryFolder } from "../files.ts";
import { makeSite, probe, SITE_SECONDS } from "../media-site.ts";
import { startNginx } from "../nginx.ts";
import { Home } from "../program.ts";
import { Findings, type Outcome } from "./outcome.ts";

/** What `get --json` prints, as far as it is looked at. */
interface Printed {
  readonly status: string;
  readonly path: string;
  readonly options: { readonly format?: string; readonly quality?: string };
  readonly metadata: { readonly title: string | null; readonly format: string | null; readonly quality: string | null };
}

/** Runs it. */
export async function pageAsAudio(): Promise<Outcome> {
  const findings = new Findings();
  await using www = await temporaryFolder();
  makeSite(www.path);
  await using nginx = await startNginx({ root: www.path });
  await using home = await Home.create();
  await home.start();
  const args = ["--format", "bestaudio", "--quality", "320k"];
  const got = await home.ctl(["get", `${nginx.http}/page.html`, ...args, "--json"]);
  findings.expect(got.code === 0, `get exited ${got.code}: ${got.stderr}`);
  const [session] = got.json() as unknown as readonly Printed[];
  if (!session) return findings.outcome();
  const { format, quality, title } = session.metadata;
  findings.note("asked", `${session.options.format} ${session.options.quality}`);
  findings.note("had", `${format} ${quality}`);
  findings.note("file", session.path.split("/").at(-1) ?? "");
  findings.expect(session.options.format === "bestaudio" && session.options.quality === "320k", "asked is not told");
  findings.expect(!!format && !!quality, "had is not told");
  findings.expect(title === "A Film: of bars", `the title is ${title}`);
  const { seconds, streams, tags } = probe(session.path);
  const sounds = streams.filter(({ codec_type }) => codec_type === "audio");
  const moving = streams.filter(({ codec_type, codec_name }) => codec_type === "video" && codec_name === "h264");
  findings.note("seconds", seconds);
  findings.note("streams", streams.map(({ codec_type, codec_name }) => `${codec_type} ${codec_name}`).join(", "));
  findings.note("tags", `${tags["title"]} by ${tags["artist"]}`);
  findings.expect(sounds.length === 1 && moving.length === 0, "it is no audio file");
  findings.expect(Math.abs(seconds - SITE_SECONDS) < 0.3, `it lasts ${seconds} s, not ${SITE_SECONDS} s`);
  const requests = (await nginx.requests()).filter(({ uri }) => /\/(large|small)\/.*\.ts/.test(uri));
  findings.expect(requests.length === 0, `${requests.length} segments of pictures were fetched`);
  return findings.outcome();
}
