/**
 * A plugin that keeps a diary: one line of JSON for each download that begins, ends or fails, in a file of your choice.
 *
 * ```toml
 * [plugins.telemetry.config]
 * file = "/home/you/downloads.jsonl"
 * ```
 */
import { createWriteStream } from "node:fs";
import { isAbsolute } from "node:path";
import { finished } from "node:stream/promises";
import { definePlugin } from "snatch";

export default definePlugin({
  name: "telemetry",

  config({ file }) {
    if (typeof file !== "string" || !isAbsolute(file)) throw new Error(`file = ${file} is not an absolute path`);
    return { file };
  },

  setup({ config, logger, registerHooks, onStop }) {
    const diary = createWriteStream(config.file, { flags: "a", mode: 0o600 });
    diary.on("error", (error) => logger.warn({}, `nothing is written any more: ${error.message}`));
    const begun = new Map<string, { at: number; chunks: number; bytes: number }>();
    const write = (event: string, fields: object) =>
      diary.write(`${JSON.stringify({ time: new Date().toISOString(), event, ...fields })}\n`);

    registerHooks({
      preDownload(url, { size, contentType }) {
        begun.set(url, { at: performance.now(), chunks: 0, bytes: 0 });
        write("start", { url: withoutSecrets(url), size, contentType });
      },
      postChunk({ url, start, end }) {
        const download = begun.get(url);
        if (!download) return;
        download.chunks++;
        download.bytes += end - start;
      },
      postDownload(url, path) {
        const { at, chunks, bytes } = begun.get(url) ?? { at: performance.now(), chunks: 0, bytes: 0 };
        begun.delete(url);
        const seconds = (performance.now() - at) / 1000;
        write("end", { url: withoutSecrets(url), path, chunks, bytes, seconds: Number(seconds.toFixed(3)) });
      },
      onSessionError({ url, status, error }) {
        if (status === "failed") begun.delete(url);
        write(status === "failed" ? "failed" : "hiccup", { url: withoutSecrets(url), code: error?.code });
      },
      onUpdated({ url, status }) {
        if (status === "cancelled" || status === "paused") begun.delete(url);
      },
    });
    onStop(async () => {
      diary.end();
      await finished(diary).catch(() => undefined);
    });
  },
});

/** Hooks get URLs as they were asked for: what may be secret in them is not for a diary. */
function withoutSecrets(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}
