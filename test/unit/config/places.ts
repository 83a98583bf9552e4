/** A folder of its own for each test, and an environment that knows nothing else. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";

export interface Sandbox {
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;
  /** Writes a file below the root. @returns its path */
  file(name: string, text: string | Uint8Array): Promise<string>;
}

export async function sandbox(context: TestContext): Promise<Sandbox> {
  const root = await mkdtemp(join(tmpdir(), "snatch-config-"));
  context.after(() => rm(root, { recursive: true, force: true }));
  return {
    root,
    env: { HOME: join(root, "home"), PATH: process.env["PATH"] ?? "" },
    async file(name, text) {
      const path = join(root, name);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text);
      return path;
    },
  };
}
