/** Folders that go away with the test that made them. */
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder for one test; `await using` removes it with all that is in it. */
export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string;
}

/** Makes an empty folder. @param parent - where; default: the folder for temporary files */
export async function temporaryFolder(parent = tmpdir()): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(parent, "snatch-test-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Options for a test that mounts file systems: says by name that it did not run where that is not allowed. */
export const needsMount: { readonly skip: string | false } = {
  skip: !mayMount() && "mounting a tmpfs is not allowed here (needs root): this test did NOT run",
};

/** A small file system of its own, in memory. */
export interface TemporaryMount extends TemporaryFolder {
  /** Makes it read-only, or writable again. */
  remount(mode: "ro" | "rw"): void;
}

/** Mounts a tmpfs. @param bytes - its size */
export async function temporaryMount(bytes: number): Promise<TemporaryMount> {
  const folder = await temporaryFolder();
  tool("mount", "-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", folder.path);
  return {
    path: folder.path,
    remount: (mode) => tool("mount", "-o", `remount,${mode}`, folder.path),
    async [Symbol.asyncDispose]() {
      try {
        tool("umount", folder.path);
      } catch {
        // A program in a network namespace that was made meanwhile has a copy of all mounts: it is gone when that ends.
        tool("umount", "-l", folder.path);
      }
      await folder[Symbol.asyncDispose]();
    },
  };
}

function tool(program: string, ...options: string[]): void {
  execFileSync(program, options, { stdio: "ignore" });
}

function mayMount(): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  try {
    // In a mount namespace of its own: nothing is left behind.
    tool("unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/tmp");
    return true;
  } catch {
    return false;
  }
}
