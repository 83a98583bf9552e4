/**
 * `snatchctl audio VERB FILE…`: has the daemon work on the audio of files, several at once, and tells what came of each. A file
 * that fails does not keep the others from being done.
 */
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import {
  type AudioContent,
  type AudioOutcome,
  AudioServiceService,
  type DenoiseStrength,
  ProcessAudioRequest,
} from "../../gen/snatch/v1/audio_service.ts";
import { audioSteps } from "../../shared/audio-steps.ts";
import { EXIT } from "../../shared/errors.ts";
import { audioFiles } from "../audio-files.ts";
import { AudioProgressView } from "../audio-progress.ts";
import { Connection } from "../connect.ts";
import { ClientError, messageOf, misuse, option } from "../failure.ts";
import type { Globals } from "../globals.ts";
import { Interrupt } from "../interrupt.ts";
import { ensureDaemon } from "../launch.ts";
import { describeError, errorJson, escapeControls, jsonLine, note, print } from "../output.ts";
import { resolveTarget, type Target } from "../target.ts";

/** What can be done. */
export type AudioVerb = NonNullable<ProcessAudioRequest["operation"]>["$case"];

/** The options of all verbs as they stand on the command line. */
export interface AudioFlags extends Globals {
  readonly output?: string;
  readonly inPlace?: boolean;
  readonly overwrite?: boolean;
  readonly dryRun?: boolean;
  readonly recursive?: boolean;
  readonly jobs?: string;
  readonly lufs?: string;
  readonly truePeak?: string;
  readonly preset?: string;
  readonly mode?: "linear" | "ebu";
  readonly strength?: string;
  /** `--no-preserve-quality` makes it false. */
  readonly preserveQuality?: boolean;
  readonly content?: string;
  readonly filters?: string;
  readonly report?: string;
  readonly after?: string;
  readonly surround?: boolean;
  readonly denoise?: string;
}

type Operation = NonNullable<ProcessAudioRequest["operation"]>;

/** @returns 0 if all went well; 7 if a file was found to be damaged; the code of the first failure; 130 after Ctrl-C */
export async function audio(verb: AudioVerb, flags: AudioFlags, names: readonly string[]): Promise<number> {
  const target = resolveTarget(flags);
  const local = target.address.kind === "unix" || target.address.loopback;
  const only = verb === "validate" ? ".flac" : undefined;
  const paths = audioFiles(names, { recursive: flags.recursive ?? false, local, ...(only !== undefined && { only }) });
  const requests = readRequests(verb, flags, paths, local);
  const jobs = flags.jobs === undefined ? availableParallelism() : readJobs(flags.jobs);
  await ensureDaemon(flags, target);
  return run(target, flags, requests, Math.max(1, Math.min(jobs, requests.length)));
}

function readRequests(
  verb: AudioVerb,
  flags: AudioFlags,
  paths: readonly string[],
  local: boolean,
): readonly ProcessAudioRequest[] {
  const single = flags.output !== undefined || flags.report !== undefined || flags.after !== undefined;
  if (single && paths.length !== 1)
    throw misuse(`-o, --report and --after are for one file, and this asks for ${paths.length}`);
  if (flags.inPlace && flags.output !== undefined) throw misuse("-o and --in-place do not go together");
  const absolute = (path: string | undefined): string => (path === undefined ? "" : local ? resolve(path) : path);
  const operation = readOperation(verb, flags, absolute);
  return paths.map((path) =>
    ProcessAudioRequest.fromPartial({
      path,
      output: absolute(flags.output),
      inPlace: flags.inPlace ?? false,
      overwrite: flags.overwrite ?? false,
      dryRun: flags.dryRun ?? false,
      operation,
    }),
  );
}

function readOperation(verb: AudioVerb, flags: AudioFlags, absolute: (path: string | undefined) => string): Operation {
  const targetLufs = readNumber("--lufs", flags.lufs);
  const truePeak = readNumber("--true-peak", flags.truePeak);
  switch (verb) {
    case "normalize": {
      const mode =
        `NORMALIZE_MODE_${flags.mode === "ebu" ? "EBU" : flags.mode === "linear" ? "LINEAR" : "UNSPECIFIED"}` as const;
      return { $case: verb, value: { targetLufs, truePeak, mode, preset: flags.preset ?? "" } };
    }
    case "denoise": {
      const preserveQuality = flags.preserveQuality === false ? false : undefined;
      return { $case: verb, value: { strength: strengthOf(flags.strength), preserveQuality } };
    }
    case "upmix":
      return { $case: verb, value: { content: contentOf(flags.content) } };
    case "chain":
      return { $case: verb, value: { filters: [...option("--filters", () => audioSteps(flags.filters ?? ""))] } };
    case "analyze":
      return { $case: verb, value: { report: absolute(flags.report), after: absolute(flags.after) } };
    case "process": {
      const denoiseLevel = strengthOf(flags.denoise);
      const enhanceSurround = flags.surround ?? false;
      return { $case: verb, value: { enhanceSurround, denoiseLevel, normalizeTarget: targetLufs, truePeak } };
    }
    default:
      return { $case: verb, value: {} };
  }
}

function strengthOf(text: string | undefined): DenoiseStrength {
  return text === undefined
    ? "DENOISE_STRENGTH_UNSPECIFIED"
    : (`DENOISE_STRENGTH_${text.toUpperCase()}` as DenoiseStrength);
}

function contentOf(text: string | undefined): AudioContent {
  return text === undefined || text === "auto"
    ? "AUDIO_CONTENT_UNSPECIFIED"
    : (`AUDIO_CONTENT_${text.toUpperCase()}` as AudioContent);
}

function readNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[-+]?\d+(\.\d+)?$/.test(text)) throw misuse(`${name}: "${text}" is not a number`);
  return Number(text);
}

function readJobs(text: string): number {
  if (!/^[1-9]\d{0,2}$/.test(text)) throw misuse(`-j: "${text}" is not a number from 1 to 999`);
  return Number(text);
}

/** Does them, so many at once. */
async function run(
  target: Target,
  flags: AudioFlags,
  requests: readonly ProcessAudioRequest[],
  jobs: number,
): Promise<number> {
  using connection = new Connection(target);
  using interrupt = new Interrupt();
  using view = new AudioProgressView(requests.length, flags);
  const codes: number[] = [];
  const left = requests.entries();
  const worker = async (): Promise<void> => {
    for (const [index, request] of left) {
      if (interrupt.signal.aborted) return;
      codes[index] = await one(connection, request, flags, view, interrupt.signal);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  view.clear();
  if (interrupt.signal.aborted) return EXIT.interrupted;
  if (requests.length > 1 && !flags.json && !flags.quiet) {
    const good = codes.filter((code) => code === EXIT.ok).length;
    note(`${good} of ${requests.length} files without a problem`);
  }
  return codes.find((code) => code !== EXIT.ok) ?? EXIT.ok;
}

/** Does one, and tells what came of it. @returns its exit code */
async function one(
  connection: Connection,
  request: ProcessAudioRequest,
  flags: AudioFlags,
  view: AudioProgressView,
  signal: AbortSignal,
): Promise<number> {
  try {
    let outcome: AudioOutcome | undefined;
    for await (const { event } of connection.receive(AudioServiceService.processAudio, request, signal)) {
      if (event?.$case === "progress") view.update(request.path, event.value);
      if (event?.$case === "outcome") outcome = event.value;
    }
    view.finish(request.path);
    if (outcome === undefined) {
      if (signal.aborted) return EXIT.interrupted;
      throw new ClientError("INTERNAL", "the daemon ended the call without saying what came of it");
    }
    view.clear();
    await report(request, outcome, flags);
    return outcome.ok ? EXIT.ok : EXIT.integrity;
  } catch (thrown) {
    view.finish(request.path);
    view.clear();
    const error = thrown instanceof ClientError ? thrown : new ClientError("INTERNAL", messageOf(thrown));
    if (flags.json) await print(jsonLine({ input: request.path, ok: false, error_info: errorJson(error) }));
    else note(`FAILED ${escapeControls(request.path)}: ${describeError(error)}`);
    return error.exit;
  }
}

async function report(request: ProcessAudioRequest, outcome: AudioOutcome, flags: AudioFlags): Promise<void> {
  const { path, changed, ok, notes, details } = outcome;
  if (flags.json) {
    await print(jsonLine({ input: request.path, path, changed, ok, notes, ...details }));
    return;
  }
  if (flags.quiet && ok) return;
  await print(headline(request, outcome));
  for (const line of detailLines(details ?? {})) await print(`  ${line}`);
  for (const text of notes) await print(`  ${escapeControls(text)}`);
}

function headline(
  { path: input, operation, dryRun }: ProcessAudioRequest,
  { path, changed, ok }: AudioOutcome,
): string {
  const name = escapeControls(input);
  if (!ok) return `DAMAGED ${name}`;
  if (changed) return path === input ? `changed ${name}` : `${name} → ${escapeControls(path)}`;
  const looked = operation?.$case === "detect" || operation?.$case === "validate" || operation?.$case === "analyze";
  if (looked) return name;
  return dryRun ? `would be done: ${name}` : `left alone: ${name}`;
}

/** What is a figure or a word, one a line; what is larger is for --json. */
function detailLines(details: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(details).flatMap(([key, value]) => {
    const name = key.replaceAll("_", " ");
    // What was asked for is known.
    if (key === "target" || key === "info") return [];
    if (typeof value === "number") return [`${name}: ${Number.isInteger(value) ? value : value.toFixed(2)}`];
    if (typeof value === "boolean") return value ? [name] : [];
    if (typeof value === "string") return [`${name}: ${escapeControls(value)}`];
    if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
    const loudness = value as Readonly<Record<string, unknown>>;
    if ("integrated" in loudness || "true_peak" in loudness) return [`${name}: ${loudnessText(loudness)}`];
    return [`${name}: ${detailLines(loudness).join(", ")}`];
  });
}

/** "−14.0 LUFS, true peak −1.2 dBTP, range 6.1 LU". */
function loudnessText(loudness: Readonly<Record<string, unknown>>): string {
  const level = (key: string, unit: string): string => {
    const value = loudness[key];
    return typeof value === "number" ? `${value.toFixed(1).replace("-", "−")} ${unit}` : "silence";
  };
  return `${level("integrated", "LUFS")}, true peak ${level("true_peak", "dBTP")}, range ${level("range", "LU")}`;
}
