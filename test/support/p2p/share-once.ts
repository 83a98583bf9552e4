/** Shares a folder as whoever runs it, and prints what was left out: `node share-once.ts FOLDER STATE`. */
import { asDownloadError } from "../../../src/daemon/core/errors.ts";
import { shareFixture, unbroken } from "./share-fixture.ts";

const [folder = "", state = ""] = process.argv.slice(2);
await using fixture = shareFixture(state);
try {
  const { leftOut, state: made } = await fixture.shares.share([folder], {}, unbroken());
  console.log(JSON.stringify({ leftOut, fileCount: made.fileCount }));
} catch (error) {
  const { code, message } = asDownloadError(error);
  console.log(JSON.stringify({ code, message }));
}
