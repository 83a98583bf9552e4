/**
 * AudioService: audio of finished files. Progress is told at most a few times a second, and a caller that leaves ends the
 * work: nothing of it is left over.
 */
import { dirname, resolve } from "node:path";
import type { AudioServiceServer, ProcessAudioRequest } from "../../gen/snatch/v1/audio_service.ts";
import type { AudioJob, AudioJobProgress } from "../core/audio-work.ts";
import type { Calls } from "./calls.ts";
import { presentAudioFilter, presentAudioOutcome, presentAudioProgress, toAudioJob } from "./convert-audio.ts";
import type { RpcPorts } from "./deps.ts";
import { ProgressTeller } from "./progress-teller.ts";
import type { Reach } from "./targets.ts";

/** The handlers for callers with this reach. */
export function audioService({ audio, clock }: RpcPorts, calls: Calls, reach: Reach): AudioServiceServer {
  return {
    processAudio: calls.serverStream(async (request: ProcessAudioRequest, send, signal) => {
      const job = toAudioJob(request);
      await assertReach(job, reach);
      const teller = new ProgressTeller(clock, send);
      const onProgress = (progress: AudioJobProgress) =>
        teller.tell(progress.stage, () => presentAudioProgress(progress));
      const outcome = await audio.run(job, { signal, onProgress });
      await teller.last;
      await send({ event: { $case: "outcome", value: presentAudioOutcome(outcome) } });
    }),
    listAudioFilters: calls.unary(async (_request, signal) => ({
      filters: (await audio.filters(signal)).map(presentAudioFilter),
    })),
  };
}

/** Reading tells what is in a file: callers over TCP may do it only where they may write, too. */
async function assertReach({ path, output, inPlace, operation }: AudioJob, reach: Reach): Promise<void> {
  await reach.assertTarget(path);
  if (output !== undefined) await assertPlace(output, reach);
  else if (!inPlace && !ONLY_LOOKING.has(operation.kind)) await assertPlace(path, reach);
  if (operation.kind !== "analyze") return;
  if (operation.report !== undefined) await assertPlace(operation.report, reach);
  if (operation.after !== undefined) await reach.assertTarget(operation.after);
}

/** Operations that make no file beside the input. */
const ONLY_LOOKING: ReadonlySet<AudioJob["operation"]["kind"]> = new Set(["detect", "validate", "analyze"]);

/** A link that leads to an allowed folder may lie outside of them all: what is written lies where the link does. */
async function assertPlace(path: string, reach: Reach): Promise<void> {
  await reach.assertTarget(path);
  await reach.assertTarget(dirname(resolve(path)));
}
