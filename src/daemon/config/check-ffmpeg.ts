/** Is FFmpeg there, new enough, with the filters that audio processing works with? Downloads do without it. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Check, CheckOutcome } from "../core/ports.ts";

const run = promisify(execFile);

/** The oldest version that is good enough. */
const MINIMUM = [5, 1] as const;
/** Filters that audio processing works with (ffmpeg-filters(1)). */
const FILTERS = ["loudnorm", "ebur128", "afftdn", "surround", "alimiter"];
const FIX = "Install FFmpeg 5.1 or newer with its usual filters, or name it in ffmpeg.path.";

/** @param program - path or name; "" is the ffmpeg in PATH */
export function ffmpegCheck(program: string): Check {
  return {
    id: "ffmpeg",
    title: "FFmpeg",
    async run(signal) {
      const name = program === "" ? "ffmpeg" : program;
      // Where it was named on purpose its absence is a mistake; else only audio lacks it.
      const absent = program === "" ? "warning" : "failed";
      try {
        const options = { signal, maxBuffer: 4 * 1024 * 1024 };
        const version = run(name, ["-hide_banner", "-version"], options);
        const filters = run(name, ["-hide_banner", "-filters"], options);
        const [first, second] = await Promise.all([version, filters]);
        return judge(name, first.stdout, second.stdout);
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        const why = code === "ENOENT" ? "was not found" : `does not run: ${message.split("\n")[0]}`;
        return { status: absent, message: `${name} ${why}; audio cannot be processed`, fix: FIX };
      }
    },
  };
}

/** The verdict on what FFmpeg says of itself. */
export function judge(program: string, version: string, filters: string): CheckOutcome {
  const name = /^ffmpeg version (\S+)/m.exec(version)?.[1];
  if (name === undefined) return { status: "warning", message: `${program} does not say that it is FFmpeg`, fix: FIX };
  const present = new Set(
    Array.from(filters.matchAll(/^\s*[A-Z.|]{2,3}\s+(\w+)\s+\S+->\S+/gm), ([, filter]) => filter),
  );
  const missing = FILTERS.filter((filter) => !present.has(filter));
  const details = { program, version: name, missing_filters: missing.join(", ") };
  // Builds from the development branch have a revision ("N-113684-g1f3a5b7") in place of a number.
  const [, major, minor] = /^n?(\d+)\.(\d+)/.exec(name) ?? [];
  const old =
    major !== undefined && (Number(major) < MINIMUM[0] || (Number(major) === MINIMUM[0] && Number(minor) < MINIMUM[1]));
  if (old) return { status: "warning", message: `${name} is older than ${MINIMUM.join(".")}`, fix: FIX, details };
  if (missing.length > 0)
    return { status: "warning", message: `${name} lacks the filters ${missing.join(", ")}`, fix: FIX, details };
  return { status: "ok", message: name, details };
}
