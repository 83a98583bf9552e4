/**
 * Shares the files of a folder one after the other, and now and then ends one, until it is killed. Says what is durable, a line
 * of JSON each: `node endless-sharing.ts FOLDER DATABASE STATE`.
 */
import { readdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Store } from "../../../src/daemon/store/store.ts";
import { RecordLogger } from "../record-logger.ts";
import { shareFixture, unbroken } from "./share-fixture.ts";

const [folder = "", directory = "", state = ""] = process.argv.slice(2);
const store = new Store({ directory, logger: new RecordLogger() });
await store.start();
const { shares } = shareFixture(state, { keyValue: store.keyValue });
await shares.start();
const say = (line: object): void => void writeSync(1, `${JSON.stringify(line)}\n`);
const paths = readdirSync(folder).map((name) => join(folder, name));
for (let round = 0; ; round++) {
  const path = paths[round % paths.length] as string;
  const made = await shares.share([path], { fresh: true }, unbroken());
  say({ made: made.state.id, code: made.code, path });
  if (round % 3 !== 2) continue;
  say({ ending: made.state.id });
  await shares.unshare(made.state.id);
  say({ ended: made.state.id });
}
