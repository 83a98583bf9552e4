/**
 * A file system that fails with EIO when one wishes, as one does whose disk was pulled out: ext4 in a file, shut down in the
 * middle (FS_IOC_SHUTDOWN) and mounted again. What had not reached the disk by then is lost, as in a power cut.
 */
import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { needsMount, type TemporaryFolder, temporaryMount } from "./temporary-folder.ts";

/** The file system, and its two states. */
export interface FailingMount extends TemporaryFolder {
  /** From now on everything fails. */
  break(): Promise<void>;
  /** Waits until nobody has a file of it open, and brings it back. */
  mend(): Promise<void>;
}

/** FS_IOC_SHUTDOWN, `_IOR('X', 125, __u32)`, with "the log is not flushed": Node cannot, Perl is on every Debian. */
const SHUTDOWN = 'open(my $f, "<", $ARGV[0]) or die $!; my $how = pack("L", 2); ioctl($f, 0x8004587d, $how) or die $!';

/** Options for a test that needs one. */
export const needsFailingMount: { readonly skip: string | false } = {
  skip: needsMount.skip || (!hasTools() && "losetup, mkfs.ext4 or perl is not there: this test did NOT run"),
};

/** Makes one. @param bytes - its size */
export async function failingMount(bytes: number): Promise<FailingMount> {
  const ground = await temporaryMount(2 * bytes);
  const image = join(ground.path, "image");
  const path = join(ground.path, "mount");
  const mount = (): void => tool("mount", "-o", "loop", image, path);
  await mkdir(path);
  tool("truncate", "-s", `${bytes}`, image);
  tool("mkfs.ext4", "-q", "-m", "0", image);
  mount();
  return {
    path,
    break: () => Promise.resolve(tool("perl", "-e", SHUTDOWN, path)),
    async mend() {
      await unmount(path);
      mount();
    },
    async [Symbol.asyncDispose]() {
      await unmount(path);
      await ground[Symbol.asyncDispose]();
    },
  };
}

/** Waits until nobody is at it. */
async function unmount(path: string): Promise<void> {
  for (let tries = 1; ; tries++)
    try {
      return tool("umount", path);
    } catch (error) {
      if (tries === 200) throw error;
      await sleep(50);
    }
}

function tool(program: string, ...options: string[]): void {
  execFileSync(program, options, { stdio: "ignore" });
}

function hasTools(): boolean {
  try {
    tool("losetup", "-f");
    tool("mkfs.ext4", "-V");
    tool("perl", "-v");
    return true;
  } catch {
    return false;
  }
}
