/** A podcast that is followed and asked three times, with a new episode in between: by the origin's log each comes once. */
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFile, temporaryFolder } from "../files.ts";
import { startNginx } from "../nginx.ts";
import { Home } from "../program.ts";
import { waitFor } from "../wait.ts";
import { Findings, type Outcome } from "./outcome.ts";

const BYTES = 200_000;

/** Runs it. */
export async function polledFeed(): Promise<Outcome> {
  const findings = new Findings();
  await using www = await temporaryFolder();
  for (let at = 0; at < 4; at++) await makeFile(join(www.path, `${at}.mp3`), BYTES);
  await using nginx = await startNginx({ root: www.path });
  const publish = (count: number): Promise<void> => writeFile(join(www.path, "feed.rss"), feedOf(nginx.http, count));
  await publish(3);
  await using home = await Home.create();
  await home.start();
  const added = await home.ctl(["feed", "add", `${nginx.http}/feed.rss`, "--every", "1h"]);
  findings.expect(added.code === 0, `feed add exited ${added.code}: ${added.stderr}`);
  const here = async (count: number): Promise<void> => {
    await waitFor(`${count} files`, async () => {
      const names = await readdir(home.downloads).catch(() => []);
      return names.length === count && names.every((name) => !name.includes(".part"));
    });
  };
  const polls: string[] = [];
  for (const count of [3, 3, 4]) {
    await publish(count);
    const polled = await home.ctl(["feed", "poll"]);
    findings.expect(polled.code === 0, `feed poll exited ${polled.code}: ${polled.stderr}`);
    polls.push(polled.stdout.trim());
    await here(count);
  }
  const requests = await nginx.requests();
  const episodes = requests.filter(({ uri, status }) => uri.endsWith(".mp3") && status < 300);
  const fetched = new Map<string, number>();
  for (const { uri, bytes } of episodes) fetched.set(uri, (fetched.get(uri) ?? 0) + bytes);
  findings.note("polls", polls.join("; "));
  findings.note("requests for the feed", requests.filter(({ uri }) => uri.endsWith("feed.rss")).length);
  findings.note("requests for episodes", episodes.length);
  findings.note("bytes of each", [...fetched.values()].join(", "));
  findings.expect(fetched.size === 4, `${fetched.size} of 4 episodes were fetched`);
  findings.expect(
    [...fetched.values()].every((bytes) => bytes <= BYTES + 1),
    "an episode was fetched more than once",
  );
  return findings.outcome();
}

/** The newest first, one a day. */
function feedOf(origin: string, count: number): string {
  const items = Array.from({ length: count }, (_, at) => count - 1 - at).map(
    (at) =>
      `<item><title>Episode ${at}</title><guid>episode-${at}</guid><pubDate>0${at + 1} Jan 2025 10:00:00 GMT</pubDate>` +
      `<enclosure url="${origin}/${at}.mp3" length="${BYTES}" type="audio/mpeg"/></item>`,
  );
  return `<?xml version="1.0"?><rss version="2.0"><channel><title>Show</title>${items.join("")}</channel></rss>`;
}
