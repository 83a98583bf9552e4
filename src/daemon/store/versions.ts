/**
 * The version of the database's layout, and the way from older ones.
 *
 * A migration takes the database from one version to the next. It must bear being run again: the daemon may die in it.
 */
import { failure } from "../core/errors.ts";
import type { KeyValue } from "../core/ports/key-value.ts";
import type { Logger } from "../core/ports/runtime.ts";

/** From version N (its place in the list, counted from 1) to N + 1. */
export type Migration = (keyValue: KeyValue) => Promise<void>;

/** The first layout is version 1; the list grows by one function with each later one. */
export const MIGRATIONS: readonly Migration[] = [];

/** The space of what the store knows of itself. */
export const META = "meta";
const VERSION_KEY = "version";

/** The version written in the database; undefined if none is. @throws DownloadError STORE_CORRUPT if it is no number */
export async function storedVersion(keyValue: KeyValue): Promise<number | undefined> {
  const text = await keyValue.get(META, VERSION_KEY);
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw failure("STORE_CORRUPT", `the database says that its version is ${JSON.stringify(text.slice(0, 40))}`);
  return Number(text);
}

/** Writes the version that a program with these migrations makes. */
export async function stampVersion(keyValue: KeyValue, migrations: readonly Migration[]): Promise<void> {
  await writeVersion(keyValue, migrations.length + 1);
}

/**
 * Brings the database to the current version.
 *
 * @param directory - for the message
 * @throws DownloadError STORE_NEWER; nothing is changed then
 */
export async function migrate(
  keyValue: KeyValue,
  migrations: readonly Migration[],
  directory: string,
  logger: Logger,
): Promise<void> {
  const current = migrations.length + 1;
  const found = (await storedVersion(keyValue)) ?? current;
  if (found > current)
    throw failure(
      "STORE_NEWER",
      `the database ${directory} has version ${found}, this Snatch knows versions up to ${current}; it was left as it is`,
      { metadata: { directory, version: String(found), known: String(current) } },
    );
  for (let version = found; version < current; version++) {
    await migrations[version - 1]?.(keyValue);
    await writeVersion(keyValue, version + 1);
    logger.info({ directory, from: version, to: version + 1 }, "database migrated");
  }
}

async function writeVersion(keyValue: KeyValue, version: number): Promise<void> {
  await keyValue.write([{ type: "put", space: META, key: VERSION_KEY, value: String(version) }], { sync: true });
}
