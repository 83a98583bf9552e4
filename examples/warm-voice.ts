/**
 * A plugin that adds a filter for audio: a little more warmth, a little less hiss, for voices. Then
 * `snatchctl get --audio warm_voice,normalize_podcast URL`, or `snatchctl audio chain --filters warm_voice FILE`.
 *
 * ```toml
 * [plugins.warm-voice.config]
 * decibels = 2
 * ```
 */
import { definePlugin } from "snatch";

export default definePlugin({
  name: "warm-voice",

  config({ decibels = 2 }) {
    if (typeof decibels !== "number" || !(decibels >= 0 && decibels <= 6))
      throw new Error(`decibels = ${decibels} is not a number from 0 to 6`);
    return { decibels };
  },

  async setup({ config: { decibels }, logger, registerFilter }) {
    await registerFilter("warm_voice", {
      filter: `highpass=f=70,equalizer=f=180:t=q:w=0.8:g=${decibels},highshelf=f=9000:g=${-decibels}`,
      description: `For voices: ${decibels} dB more warmth, ${decibels} dB less hiss`,
    }).catch((error: Error) => logger.warn({}, `warm_voice cannot be used: ${error.message}`));
  },
});
