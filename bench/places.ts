/**
 * Where the bench works: on a disk, and on a file system in memory. Served files, fetched files and the daemon's own
 * database all lie in the same place.
 *
 * On a disk, folders of many small files stay until the end: ext4 without a journal steps over every inode that was freed
 * in the last minutes when it makes a file (ten times slower after a few rounds), and the programs that come later would
 * pay for what is taken away.
 */
import { mkdir, mkdtemp, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withFrugalAllocator } from "../src/shared/allocator.ts";
import { type Daemon, Home } from "../test/support/program.ts";
import { runProgram } from "../test/support/run-program.ts";
import { needsMount, type TemporaryFolder, temporaryFolder, temporaryMount } from "../test/support/temporary-folder.ts";
import { settings } from "./settings.ts";

/** The places, in their order. */
export const PLACES = ["disk", "tmpfs"] as const;

/** One of them. */
export type PlaceName = (typeof PLACES)[number];

/** Room in memory: the large file twice, and then some; at least for all the small ones. */
const MEMORY_BYTES = Math.max(3 * settings.largeBytes, 4 * 1024 ** 3);

/** statfs(2): TMPFS_MAGIC. */
const TMPFS = 0x01021994;

/** A place. Disposal takes everything away. */
export class Place implements AsyncDisposable {
  readonly name: PlaceName;
  readonly path: string;
  readonly #folder: TemporaryFolder;

  private constructor(name: PlaceName, folder: TemporaryFolder) {
    this.name = name;
    this.path = folder.path;
    this.#folder = folder;
  }

  /** Makes it. @throws Error if there is none of this kind here */
  static async open(name: PlaceName): Promise<Place> {
    // What others have written is not to reach the disk while something is measured.
    await runProgram("sync", []);
    if (name === "disk") return new Place(name, await temporaryFolder(await diskFolder()));
    const mountable = needsMount.skip === false;
    return new Place(name, await (mountable ? temporaryMount(MEMORY_BYTES) : temporaryFolder("/dev/shm")));
  }

  /** Makes an empty folder. */
  async folder(name: string): Promise<string> {
    const path = join(this.path, name);
    await mkdir(path, { recursive: true });
    return mkdtemp(join(path, "-"));
  }

  /** Takes a folder away, now or, where that would slow down those who come later, at the end. */
  async drop(folder: string, { files }: { readonly files: "few" | "many" }): Promise<void> {
    if (files === "few" || this.name === "tmpfs") await rm(folder, { recursive: true, force: true });
  }

  /** A daemon that keeps its home here. @param config - config.toml; without one, all is as after installing */
  async snatch(config?: string): Promise<Snatch> {
    // As snatchctl and the units start it.
    const env = withFrugalAllocator({}) as Record<string, string>;
    const home = await Home.create({ parent: this.path, env, ...(config !== undefined && { config }) });
    try {
      return new Snatch(home, await home.start());
    } catch (error) {
      await home[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** A daemon and its home. */
export class Snatch implements AsyncDisposable {
  readonly home: Home;
  readonly daemon: Daemon;

  constructor(home: Home, daemon: Daemon) {
    this.home = home;
    this.daemon = daemon;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.home[Symbol.asyncDispose]();
  }
}

/** A folder for temporary files that is on a disk. */
async function diskFolder(): Promise<string> {
  const folders = settings.disk === undefined ? [tmpdir(), "/var/tmp"] : [settings.disk];
  for (const folder of folders) {
    const { type } = await statfs(folder);
    if (type !== TMPFS) return folder;
  }
  throw new Error(`${folders.join(" and ")}: in memory. Name a folder on a disk with BENCH_DISK`);
}
