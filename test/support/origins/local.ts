/** Faults of this side: what a disk can do to a download. Each is brought about by a test of that name (test/integration/disk-faults.test.ts). */
import type { ErrorCode } from "../../../src/shared/errors.ts";

/** One way for a disk to fail. */
interface DiskFault {
  readonly about: string;
  readonly snatch: string;
  readonly outcome: string;
  readonly code: ErrorCode;
  readonly source: string;
}

/** Faults of the disk, by name. */
export const DISK_FAULTS = {
  "disk-full": {
    about: "there is less room than the file needs, before it begins or in the middle",
    snatch:
      "Waits for the disk, costs no attempt, looks again and again, and goes on from what is there when there is room.",
    outcome: "waits; right file when there is room",
    code: "DISK_FULL",
    source: "ENOSPC, statfs(2)",
  },
  "read-only": {
    about: "the file system becomes read-only in the middle",
    snatch: "Waits for the disk, costs no attempt, and goes on from what is there when it can be written again.",
    outcome: "waits; right file when it can be written",
    code: "READ_ONLY",
    source: "EROFS, mount(8)",
  },
  "io-error": {
    about: "the disk fails (EIO) in the middle, and comes back without what had not been synced",
    snatch:
      "Waits for the disk, costs no attempt, and goes on from the chunks that were synced and recorded: none of them is lost.",
    outcome: "waits; right file when the disk is back",
    code: "IO_ERROR",
    source: "EIO, fdatasync(2)",
  },
  quota: {
    about: "the user's quota is used up",
    snatch: "The same as a full disk.",
    outcome: "waits; right file when there is room",
    code: "DISK_FULL",
    source: "EDQUOT, quotactl(2)",
  },
} as const satisfies Readonly<Record<string, DiskFault>>;
