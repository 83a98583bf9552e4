import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Store } from "../../../src/daemon/store/store.ts";
import { keyValueContract } from "../../contract/key-value.ts";
import { MemoryKeyValue } from "../../support/memory-key-value.ts";
import { RecordLogger } from "../../support/record-logger.ts";

keyValueContract("LevelDB", async () => {
  const parent = await mkdtemp(join(tmpdir(), "snatch-kv-"));
  const store = new Store({ directory: join(parent, "db"), logger: new RecordLogger() });
  await store.start();
  return {
    keyValue: store.keyValue,
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      await rm(parent, { recursive: true });
    },
  };
});

keyValueContract("memory", async () => ({
  keyValue: new MemoryKeyValue(),
  [Symbol.asyncDispose]: async () => undefined,
}));
