/** What FFmpeg says of its version, and whether that is new enough. */

/** The oldest version that is good enough. */
export const MINIMUM = "5.1";

/**
 * The version in the output of `ffmpeg -version`: "5.1.9-0+deb12u1", "n7.0.2", "N-113684-g1f3a5b7", "git-2020-01-01-abc".
 * Undefined if it is not FFmpeg that spoke.
 */
export function versionIn(output: string): string | undefined {
  return /^ff(?:mpeg|probe) version (\S+)/m.exec(output)?.[1];
}

/**
 * True for a version older than {@link MINIMUM}. A build of the development branch has a revision in place of a number:
 * N-… counts commits, of which 5.1 has 107,000; what has only a date or a hash is taken for new.
 */
export function isTooOld(version: string): boolean {
  const revision = /^N-(\d+)/.exec(version)?.[1];
  if (revision !== undefined) return Number(revision) < 107_000;
  const [, major, minor = "0"] = /^n?(\d+)(?:\.(\d+))?/.exec(version) ?? [];
  if (major === undefined) return false;
  // A date in front ("2023-01-01-git-…", Windows builds) is no number of a release.
  if (Number(major) > 1000) return false;
  const [wantedMajor = 0, wantedMinor = 0] = MINIMUM.split(".").map(Number);
  return Number(major) < wantedMajor || (Number(major) === wantedMajor && Number(minor) < wantedMinor);
}
