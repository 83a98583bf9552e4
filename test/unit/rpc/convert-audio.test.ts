/** What is asked of audio, from the wire: nothing absurd comes through, and nothing that is right is lost. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { AudioJob } from "../../../src/daemon/core/audio-work.ts";
import { DownloadError } from "../../../src/daemon/core/errors.ts";
import { presentAudioOutcome, toAudioJob } from "../../../src/daemon/rpc/convert-audio.ts";
import { AudioOutcome, ProcessAudioRequest } from "../../../src/gen/snatch/v1/audio_service.ts";

/** What a caller sets; the rest has its default. */
type Asked = Partial<Omit<ProcessAudioRequest, "operation">> & {
  readonly operation?: { readonly $case: string; readonly value: object };
};

/** Over the wire and back. */
function job(request: Asked): AudioJob {
  const whole = { path: "/a.flac", ...request } as ProcessAudioRequest;
  const bytes = ProcessAudioRequest.encode(ProcessAudioRequest.fromPartial(whole)).finish();
  return toAudioJob(ProcessAudioRequest.decode(bytes));
}

describe("an audio request", () => {
  test("says only what it says: what is absent stays absent", () => {
    assert.deepEqual(job({ operation: { $case: "normalize", value: {} } }), {
      path: "/a.flac",
      operation: { kind: "normalize" },
    });
    assert.deepEqual(
      job({
        output: "/b.flac",
        overwrite: true,
        operation: {
          $case: "normalize",
          value: { targetLufs: -16, truePeak: 0, mode: "NORMALIZE_MODE_EBU", preset: "podcast" },
        },
      }),
      {
        path: "/a.flac",
        output: "/b.flac",
        overwrite: true,
        operation: { kind: "normalize", targetLufs: -16, truePeak: 0, mode: "ebu", preset: "podcast" },
      },
    );
    assert.deepEqual(
      job({
        inPlace: true,
        operation: { $case: "denoise", value: { strength: "DENOISE_STRENGTH_HEAVY", preserveQuality: false } },
      }),
      { path: "/a.flac", inPlace: true, operation: { kind: "denoise", strength: "heavy", preserveQuality: false } },
    );
    assert.deepEqual(
      job({ operation: { $case: "process", value: { enhanceSurround: true, normalizeTarget: -14 } } }).operation,
      { kind: "process", enhanceSurround: true, targetLufs: -14 },
    );
    assert.deepEqual(job({ operation: { $case: "upmix", value: { content: "AUDIO_CONTENT_FILM" } } }).operation, {
      kind: "upmix",
      content: "film",
    });
  });

  const wrong: Readonly<Record<string, readonly [Asked, string]>> = {
    "nothing to do": [{}, "operation"],
    "a relative path": [{ path: "a.flac", operation: { $case: "detect", value: {} } }, "path"],
    "a relative output": [{ output: "b.flac", operation: { $case: "enhance", value: {} } }, "output"],
    "an output, in place": [{ output: "/b", inPlace: true, operation: { $case: "enhance", value: {} } }, "in_place"],
    "a relative report": [{ operation: { $case: "analyze", value: { report: "r" } } }, "analyze.report"],
    "a loudness above all": [{ operation: { $case: "normalize", value: { targetLufs: 3 } } }, "normalize.target_lufs"],
    "a loudness that is none": [
      { operation: { $case: "normalize", value: { targetLufs: Number.NaN } } },
      "normalize.target_lufs",
    ],
    "a peak above full scale": [{ operation: { $case: "process", value: { truePeak: 1 } } }, "process.true_peak"],
    "an unknown preset": [{ operation: { $case: "normalize", value: { preset: "loud" } } }, "normalize.preset"],
    "an empty chain": [{ operation: { $case: "chain", value: { filters: [] } } }, "chain.filters"],
    "a chain without end": [
      { operation: { $case: "chain", value: { filters: Array(65).fill("x") } } },
      "chain.filters",
    ],
  };
  for (const [name, [request, field]] of Object.entries(wrong))
    test(`${name} is refused, with the field's name`, () => {
      assert.throws(
        () => job(request),
        (error) =>
          error instanceof DownloadError && error.code === "INVALID_ARGUMENT" && error.metadata["field"] === field,
      );
    });

  test("whatever bytes come: a job, or INVALID_ARGUMENT", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        let request: ProcessAudioRequest;
        try {
          request = ProcessAudioRequest.decode(bytes);
        } catch {
          return;
        }
        try {
          assert.ok(toAudioJob(request).path.startsWith("/"));
        } catch (error) {
          assert.ok(error instanceof DownloadError, String(error));
          assert.equal(error.code, "INVALID_ARGUMENT");
        }
      }),
    );
  });
});

test("an outcome survives the wire with all its figures", () => {
  const details = { loudness: { integrated: -14.01, true_peak: null }, stages: ["afftdn"], limited: true, frames: 12 };
  const outcome = presentAudioOutcome({ path: "/b", changed: true, ok: false, notes: ["a", "ü"], details });
  const back = AudioOutcome.decode(AudioOutcome.encode(AudioOutcome.fromPartial(outcome)).finish());
  assert.deepEqual(back, outcome);
});
