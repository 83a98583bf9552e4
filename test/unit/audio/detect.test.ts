import assert from "node:assert/strict";
import { join } from "node:path";
import { before, test } from "node:test";
import { ContentJudge, detectContent } from "../../../src/daemon/audio/detect.ts";
import { FEATURE_HOP, FEATURE_RATE } from "../../../src/daemon/audio/features.ts";
import { FfmpegTool } from "../../../src/daemon/ffmpeg/tool.ts";
import { SystemClock } from "../../../src/daemon/os/clock.ts";
import {
  atRms,
  fanNoise,
  mix,
  music,
  rmsOf,
  SENTENCES,
  type Signal,
  sequence,
  silence,
  speech,
  VOICES,
  writeWav,
} from "../../support/audio/signals.ts";
import { hasProgram } from "../../support/has-program.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const needsEspeak = hasProgram("espeak-ng");
const RATE = 22_050;

/** Sentences with a pause of so many seconds after each. */
function talk(pause: number): Signal {
  const gap = silence(pause, RATE, 1);
  const said = SENTENCES.map((sentence) => sequence(atRms(speech(sentence, VOICES[1], RATE), -20), gap));
  return sequence(gap, ...said);
}

let quick: Signal;
let slow: Signal;
before(() => {
  if (needsEspeak.skip !== false) return;
  quick = talk(0.4);
  slow = talk(2.5);
});

async function contentOf(sound: Signal) {
  await using folder = await temporaryFolder();
  await using tool = new FfmpegTool({ path: "", processes: 1, timeoutMs: 60_000 }, { clock: new SystemClock() });
  return await detectContent(tool, await writeWav(join(folder.path, "clip.wav"), sound, "s16"));
}

const scene = (under: number): Signal => {
  const score = music(9, 40, RATE);
  const one = { rate: RATE, channels: score.channels.slice(0, 1) };
  return mix(slow, atRms(one, -20 - under));
};

test("speech, as it is and with a fan running, also with long pauses", needsEspeak, async () => {
  const plain = await contentOf(quick);
  assert.equal(plain.content, "speech");
  assert.ok((plain.speechShare ?? 0) > 0.8, String(plain.speechShare));
  assert.deepEqual(plain.notes, []);
  for (const sound of [quick, slow]) {
    const noisy = mix(sound, fanNoise(1, 60, rmsOf(sound) - 5, RATE));
    assert.equal((await contentOf(noisy)).content, "speech");
  }
});

test("music", async () => {
  const { content, speechShare = 1, features } = await contentOf(music(3, 15, RATE));
  assert.equal(content, "music");
  assert.ok(speechShare < 0.12, String(speechShare));
  assert.ok(features.steadyTones > 0.15);
});

test("speech with pauses over music is film", needsEspeak, async () => {
  for (const under of [8, 14]) assert.equal((await contentOf(scene(under))).content, "film", `${under} dB under`);
});

test("silence is said to be silence", async () => {
  const { notes, features } = await contentOf(silence(2, RATE, 1));
  assert.equal(features.silence, 1);
  assert.match(notes.join(" "), /silent/);
});

test(
  "without the voice detector music is still never taken for speech, and it is said what is missing",
  needsEspeak,
  () => {
    const judged = (sound: Signal) => {
      const judge = new ContentJudge({ missing: "The optional package is not installed." });
      const samples = Float32Array.from(sound.channels[0] ?? []);
      for (let at = 0; at + FEATURE_HOP <= samples.length; at += FEATURE_HOP)
        judge.add(samples.subarray(at, at + FEATURE_HOP));
      return judge.result();
    };
    const spoken = judged(
      sequence(...([0, 1, 2].map((turn) => speech(SENTENCES[turn] ?? "", VOICES[2], FEATURE_RATE)) as [Signal])),
    );
    assert.equal(spoken.content, "speech");
    assert.equal(spoken.speechShare, undefined);
    assert.deepEqual(spoken.notes, ["The optional package is not installed."]);
    for (const seed of [1, 2, 3]) assert.equal(judged(music(seed, 15, FEATURE_RATE)).content, "music");
  },
);
