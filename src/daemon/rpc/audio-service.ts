/**
 * AudioService: audio of finished files. Progress is told at most a few times a second, and a caller that leaves ends the
 * work: nothing of it is left over.
 */
import { dirname, resolve } from "node:path";
import type {
  AudioServiceServer,
  ProcessAudioRequest,
  ProcessAudioResponse,
} from "../../gen/snatch/v1/audio_service.ts";
import type { AudioJob, AudioJobProgress } from "../core/audio-work.ts";
import type { Calls, Send } from "./calls.ts";
import { presentAudioFilter, presentAudioOutcome, presentAudioProgress, toAudioJob } from "./convert-audio.ts";
import type { RpcPorts } from "./deps.ts";
import type { Reach } from "./targets.ts";

/** Milliseconds between two messages about the progress. */
const PROGRESS_MS = 200;

/** The handlers for callers with this reach. */
export function audioService(ports: RpcPorts, calls: Calls, reach: Reach): AudioServiceServer {
  const { audio } = ports;
  return {
    processAudio: calls.serverStream(async (request: ProcessAudioRequest, send, signal) => {
      const job = toAudioJob(request);
      await assertReach(job, reach);
      const teller = new ProgressTeller(ports, send);
      const outcome = await audio.run(job, { signal, onProgress: (progress) => teller.tell(progress) });
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

/** Sends how far it is, no faster than the caller takes it. */
class ProgressTeller {
  readonly #clock: RpcPorts["clock"];
  readonly #send: Send<ProcessAudioResponse>;
  #next = Number.NEGATIVE_INFINITY;
  #stage = "";
  #sending = false;
  /** Resolves when nothing is on its way. */
  last: Promise<void> = Promise.resolve();

  constructor({ clock }: RpcPorts, send: Send<ProcessAudioResponse>) {
    this.#clock = clock;
    this.#send = send;
  }

  tell(progress: AudioJobProgress): void {
    const now = this.#clock.monotonic();
    if (this.#sending || (now < this.#next && progress.stage === this.#stage)) return;
    this.#next = now + PROGRESS_MS;
    this.#stage = progress.stage;
    this.#sending = true;
    // A caller that has left ends the work by the signal.
    this.last = this.#send(presentAudioProgress(progress))
      .catch(() => undefined)
      .finally(() => {
        this.#sending = false;
      });
  }
}
