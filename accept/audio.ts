/**
 * What the audio room has to show: the "Done when" of its issue, line by line, at full size. ACCEPT_SEED sets the chance;
 * RECORDINGS names a folder where the recordings out of Debian packages are kept from one run to the next.
 */
import { abortAcceptance } from "../test/support/audio/abort-acceptance.ts";
import { contentAcceptance } from "../test/support/audio/content-acceptance.ts";
import { denoiseAcceptance } from "../test/support/audio/denoise-acceptance.ts";
import { flacAcceptance } from "../test/support/audio/flac-acceptance.ts";
import { loudnessAcceptance, loudnessCases } from "../test/support/audio/loudness-acceptance.ts";
import { upmixAcceptance, upmixCases } from "../test/support/audio/upmix-acceptance.ts";
import { testsPass } from "./commands.ts";
import type { Criterion } from "./criterion.ts";

const seed = Number(process.env["ACCEPT_SEED"] ?? 20261122);

export const criteria: readonly Criterion[] = [
  {
    id: "1",
    title:
      "At least 20 files: loudness within 0.2 LU and true peak within 0.1 dB (lossy 0.3 dB) by an independent meter",
    run: () => loudnessAcceptance(loudnessCases(30)),
  },
  {
    id: "2",
    title: "Speech in white, pink, fan and babble noise gains at least 4 dB SI-SDR; music keeps 25 dB SDR",
    run: () => denoiseAcceptance({ seed, seconds: 10, pieces: 3 }),
  },
  {
    id: "3",
    title: "FLAC: every flipped bit and every truncation found, no false alarm, the verdicts of flac -t",
    run: () => flacAcceptance({ flips: 60, cuts: 25, seed }),
  },
  {
    id: "4",
    title: "7.1: eight channels in step, no true peak above -1 dB, the ITU downmix as loud as the input, a clean LFE",
    run: () => upmixAcceptance(upmixCases(20)),
  },
  {
    id: "5",
    title: "Content right on at least 95 % of the clips, none of which chose the thresholds",
    run: () => contentAcceptance({ clips: 10, seed }),
  },
  {
    id: "6",
    title: "Called off, and FFmpeg killed with -9, in mid-run of every operation: nothing left",
    run: () => abortAcceptance({ seconds: 120, times: 3, seed }),
  },
  { id: "7", title: "The spec's own examples", run: () => testsPass("spec/audio") },
];
