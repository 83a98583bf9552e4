/**
 * Which FFmpeg is used: the configured one, else the system's. Looked at once and again when the file has changed, so
 * that an installation or an update needs no restart.
 */
import { constants } from "node:fs";
import { access, readFile, realpath, stat } from "node:fs/promises";
import { basename, delimiter, dirname, isAbsolute, join } from "node:path";
import { failure } from "../core/errors.ts";
import type { MediaToolVersion } from "../core/media-tool.ts";
import type { Clock } from "../core/ports/runtime.ts";
import { ask } from "./ask.ts";
import { installHint } from "./install-hint.ts";
import { isTooOld, MINIMUM, versionIn } from "./version.ts";

/** An FFmpeg that can be used. */
export interface FoundProgram extends MediaToolVersion {
  /** The ffprobe beside it, else the one in PATH. */
  readonly ffprobe: string;
  /** Changes when the file changes. */
  readonly identity: string;
}

/** Finds FFmpeg. */
export class ProgramFinder {
  readonly #program: string;
  readonly #clock: Clock;
  #found: FoundProgram | undefined;

  /** @param program - path or name; "" is the ffmpeg in PATH */
  constructor(program: string, clock: Clock) {
    this.#program = program === "" ? "ffmpeg" : program;
    this.#clock = clock;
  }

  /** The FFmpeg to use. @throws SystemResourceError FFMPEG_MISSING, FFMPEG_TOO_OLD; the signal's reason */
  async find(signal?: AbortSignal): Promise<FoundProgram> {
    signal?.throwIfAborted();
    const path = await located(this.#program);
    if (path === undefined) throw await missing(`${this.#program} was not found`);
    const { mtimeMs, size, ino } = await stat(path);
    const identity = `${path}:${ino}:${size}:${mtimeMs}`;
    if (this.#found?.identity === identity) return this.#found;
    const version = await this.#version(path, signal);
    const ffprobe = await probeBeside(path);
    if (ffprobe === undefined) throw await missing(`${path} is there, but no ffprobe beside it or in PATH`);
    this.#found = { path, version, ffprobe, identity };
    return this.#found;
  }

  async #version(path: string, signal: AbortSignal | undefined): Promise<string> {
    const answer = await ask(path, ["-hide_banner", "-version"], this.#clock, signal).catch(async (error: Error) => {
      signal?.throwIfAborted();
      throw await missing(`${path} does not run: ${error.message}`, error);
    });
    const version = versionIn(answer);
    if (version === undefined) throw await missing(`${path} does not say that it is FFmpeg`);
    if (isTooOld(version))
      throw failure("FFMPEG_TOO_OLD", `${path} is FFmpeg ${version}; ${MINIMUM} or newer is needed: ${await hint()}`, {
        metadata: { path, version, minimum: MINIMUM },
      });
    return version;
  }
}

/** A name with a slash is a path; without, it is looked up in PATH. */
async function located(program: string): Promise<string | undefined> {
  if (isAbsolute(program)) return (await executable(program)) ? program : undefined;
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    if (isAbsolute(folder) && (await executable(join(folder, program)))) return join(folder, program);
  }
  return undefined;
}

async function executable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** Builds with a suffix have it on both ("ffmpeg-7.1", "ffprobe-7.1"); a symbolic link's target may have the pair. */
async function probeBeside(path: string): Promise<string | undefined> {
  const real = await realpath(path);
  const places = [path, real].map((place) => join(dirname(place), basename(place).replace("ffmpeg", "ffprobe")));
  for (const place of places.filter((place) => basename(place).includes("ffprobe")))
    if (await executable(place)) return place;
  return located("ffprobe");
}

async function missing(what: string, cause?: Error) {
  return failure("FFMPEG_MISSING", `${what}; install it with: ${await hint()}`, { cause });
}

async function hint(): Promise<string> {
  return installHint(process.platform, await readFile("/etc/os-release", "utf8").catch(() => ""));
}
