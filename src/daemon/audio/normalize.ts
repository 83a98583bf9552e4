/**
 * Brings loudness to a target (EBU R 128): measure, one gain for the whole file, a limiter at four times the sample rate only
 * where the peaks need it, measure what came out, correct. Dynamics stay as they are but for the limited peaks. FFmpeg's own
 * `loudnorm` is there as a mode of its own, since it misses the target by LUs where it has to be dynamic.
 */
import type { MediaTool } from "../core/ports/media.ts";
import { type Loudness, measure } from "./measure.ts";
import { normalizeEbu } from "./normalize-ebu.ts";
import { type Approach, approach } from "./normalize-rounds.ts";
import { type NormalizeOptions, type NormalizeResult, TOLERANCE_LU, targetOf } from "./normalize-types.ts";
import { beginDraft, type OutputPlan, planOutput } from "./output.ts";
import type { LoudnessTarget } from "./presets.ts";
import { openSource } from "./source.ts";
import { StageProgress } from "./stage-progress.ts";
import { dbtp, lufs, signed } from "./words.ts";

/**
 * Normalises the loudness of a file.
 *
 * @throws DownloadError INVALID_ARGUMENT, ResourceError MEDIA_INVALID, MEDIA_UNFIT, FileSystemError TARGET_EXISTS; what the
 *   media tool throws. The input is then as it was, and nothing is left over
 */
export async function normalizeAudio(
  tool: MediaTool,
  input: string,
  options: NormalizeOptions = {},
): Promise<NormalizeResult> {
  const target = targetOf(options);
  const { signal, mode = "linear", dryRun = false } = options;
  const source = await openSource(tool, input, signal);
  const plan = await planOutput(source, "normalized", options);
  if (mode === "ebu" && !dryRun) return normalizeEbu(tool, { source, plan, target }, options);
  const stages = new StageProgress(options.onProgress, dryRun ? ["measuring"] : ["measuring", "encoding"]);
  const before = await measure(tool, source, { ...(signal && { signal }), onProgress: stages.report("measuring") });
  const untouched = { path: source.path, changed: false, target, before, limited: false, dynamic: false, rounds: 0 };
  const reason = whyNot(before, target, options.toleranceLu ?? TOLERANCE_LU, plan, options.output !== undefined);
  if (reason !== undefined) return { ...untouched, notes: [reason] };
  const job = { source, plan, target, before, integrated: before.integrated as number };
  if (dryRun) return { ...untouched, ...foreseen(job) };
  await using draft = await beginDraft(source, plan, options.signal);
  const made = await approach(tool, job, draft, { ...(signal && { signal }), stages });
  signal?.throwIfAborted();
  await draft.keep(made.path);
  return {
    path: plan.target,
    changed: true,
    target,
    before,
    after: made.after,
    gainDb: made.gainDb,
    limited: made.limited,
    dynamic: false,
    rounds: made.rounds,
    notes: [...plan.notes, ...made.mediaNotes, ...shortfall(made, target)],
  };
}

/** Why a file is left as it is; undefined if there is something to do. */
function whyNot(
  { integrated, truePeak, seconds }: Loudness,
  { targetLufs, truePeak: most }: LoudnessTarget,
  tolerance: number,
  plan: OutputPlan,
  named: boolean,
): string | undefined {
  if (integrated === undefined) {
    if (seconds < 0.4)
      return "The sound is shorter than 400 ms: it has no loudness by EBU R 128. It was left as it is.";
    return truePeak === Number.NEGATIVE_INFINITY
      ? "The sound is silence. It was left as it is."
      : "The sound is never louder than −70 LUFS, which EBU R 128 takes for silence. It was left as it is.";
  }
  // Somebody who names a file of another format wants that file.
  if (named && !plan.kept) return undefined;
  if (Math.abs(integrated - targetLufs) > tolerance || truePeak > most) return undefined;
  return `The loudness is right already: ${lufs(integrated)}, true peak ${dbtp(truePeak)}. It was left as it is.`;
}

/** What a run would do. */
function foreseen({ before, integrated, target }: { before: Loudness; integrated: number; target: LoudnessTarget }) {
  const gainDb = target.targetLufs - integrated;
  const peak = before.truePeak + gainDb;
  const limited = peak > target.truePeak;
  const change = `From ${lufs(integrated)} to ${lufs(target.targetLufs)}: ${signed(gainDb)} dB.`;
  const peaks = limited
    ? `Peaks of ${dbtp(peak)} would be limited to ${dbtp(target.truePeak)}.`
    : `The true peak would be ${dbtp(peak)}; nothing would be limited.`;
  return { gainDb, limited, notes: [`${change} ${peaks}`] };
}

/** What a person ought to know about a result. */
function shortfall({ after, limited, deepest, reached }: Approach, target: LoudnessTarget): string[] {
  const notes: string[] = [];
  if (!reached)
    notes.push(
      `The target is out of reach: ${lufs(after.integrated ?? Number.NEGATIVE_INFINITY)} with a true peak of ` +
        `${dbtp(after.truePeak)} in place of ${lufs(target.targetLufs)} and ${dbtp(target.truePeak)}.`,
    );
  if (limited && deepest > 6)
    notes.push(
      `The highest peaks were lowered by ${deepest.toFixed(1)} dB: that may be heard. A lower target avoids it.`,
    );
  return notes;
}
