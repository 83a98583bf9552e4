/**
 * Faults that are no origin's: what disks, proxies, hosts and files of logins can do to a download. Each is brought about by
 * a test elsewhere, in the file that it names.
 */
import type { ErrorCode } from "../../../src/shared/errors.ts";

/** One way for something else to fail. */
export interface OtherFault {
  readonly about: string;
  readonly snatch: string;
  readonly outcome: string;
  readonly code?: ErrorCode;
  readonly source: string;
  /** Where it is brought about. */
  readonly test: string;
}

const DISK_TEST = "test/integration/disk-faults.test.ts";

/** Faults of the disk, by name. */
export const DISK_FAULTS = {
  "disk-full": {
    about: "there is less room than the file needs, before it begins or in the middle",
    snatch:
      "Waits for the disk, costs no attempt, looks again and again, and goes on from what is there when there is room.",
    outcome: "waits; right file when there is room",
    code: "DISK_FULL",
    source: "ENOSPC, statfs(2)",
    test: DISK_TEST,
  },
  "read-only": {
    about: "the file system becomes read-only in the middle",
    snatch: "Waits for the disk, costs no attempt, and goes on from what is there when it can be written again.",
    outcome: "waits; right file when it can be written",
    code: "READ_ONLY",
    source: "EROFS, mount(8)",
    test: DISK_TEST,
  },
  "io-error": {
    about: "the disk fails (EIO) in the middle, and comes back without what had not been synced",
    snatch:
      "Waits for the disk, costs no attempt, and goes on from the chunks that were synced and recorded: none of them is lost.",
    outcome: "waits; right file when the disk is back",
    code: "IO_ERROR",
    source: "EIO, fdatasync(2)",
    test: DISK_TEST,
  },
  quota: {
    about: "the user's quota is used up",
    snatch: "The same as a full disk.",
    outcome: "waits; right file when there is room",
    code: "DISK_FULL",
    source: "EDQUOT, quotactl(2)",
    test: DISK_TEST,
  },
} as const satisfies Readonly<Record<string, OtherFault>>;

/** Faults on the way to an origin, by name. */
export const WAY_FAULTS: Readonly<Record<string, OtherFault>> = {
  "one-family-dead": {
    about: "a host has an IPv6 and an IPv4 address, and one of them does not answer",
    snatch: "Tries both a moment apart, and takes the one that answers first.",
    outcome: "right file",
    source: "RFC 8305 §5",
    test: "test/integration/http-way.test.ts",
  },
  "redirect-inwards": {
    about: "a public host redirects to a name or an address of the private network, or of this machine",
    snatch: "Checks every address that a name has, connects to the one that was checked, and does not go there.",
    outcome: "no file",
    code: "ADDRESS_NOT_ALLOWED",
    source: "RFC 6890 §2.2",
    test: "test/integration/http-way.test.ts",
  },
  "redirect-to-another-protocol": {
    about: "a redirect leads to the port of another protocol, such as mail",
    snatch: "Does not go there.",
    outcome: "no file",
    code: "ADDRESS_NOT_ALLOWED",
    source: 'Fetch, "bad port"',
    test: "test/unit/http/network-policy.test.ts",
  },
  "proxy-misbehaves": {
    about: "a proxy (HTTP, HTTPS, SOCKS5) refuses, closes, resets, hangs, or answers rubbish",
    snatch: "Says that it is the proxy's fault, and which proxy, without its password; tries again.",
    outcome: "no file",
    code: "PROXY_FAILED",
    source: "RFC 9110 §9.3.6, RFC 1928 §6",
    test: "test/integration/http-proxy.test.ts",
  },
  "proxy-wants-credentials": {
    about: "a proxy wants credentials, or other ones (407)",
    snatch: "Is final, and says where they go.",
    outcome: "no file",
    code: "PROXY_UNAUTHORIZED",
    source: "RFC 9110 §15.5.8",
    test: "test/integration/http-proxy.test.ts",
  },
  "login-of-another-host": {
    about: "a redirect leads to a host for which netrc has another login, or none",
    snatch: "Sends each host its own login only, and never the default one behind a redirect.",
    outcome: "right file",
    source: "netrc(5)",
    test: "test/integration/http-way.test.ts",
  },
  "cookies-go-round": {
    about: "a host sets a cookie and redirects to the same URL until it has it",
    snatch: "Keeps cookies for the chain of redirects, each for its own site; an endless circle ends.",
    outcome: "right file",
    source: "RFC 6265 §5.4",
    test: "test/integration/http-way.test.ts",
  },
  "patience-over-a-restart": {
    about: "a host asked for patience (Retry-After), and the daemon ends and starts again meanwhile",
    snatch: "The wait holds for the whole host, over all downloads and over the restart.",
    outcome: "waits; right file afterwards",
    source: "RFC 9110 §10.2.3",
    test: "test/integration/engine-politeness.test.ts",
  },
};
