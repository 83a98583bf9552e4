/** The tables of selectors and templates, held against yt-dlp itself: what is marked as different is not asked. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { describe, it } from "node:test";
import type { MediaFormat } from "../../src/daemon/core/resolved.ts";
import { templateFields } from "../../src/daemon/resolve/template-fields.ts";
import { mediaOf, SELECTOR_CASES } from "../support/selector-cases.ts";
import { TEMPLATE_CASES, TEMPLATE_CHOICE, TEMPLATE_DETAILS } from "../support/template-cases.ts";

const PROTOCOLS = { http: "https", hls: "m3u8_native", dash: "http_dash_segments" } as const;

/** A format as yt-dlp has it. */
function foreign(format: MediaFormat): Record<string, unknown> {
  return {
    format_id: format.id,
    ext: format.ext,
    url: `https://media.example/${encodeURIComponent(format.id)}`,
    protocol: PROTOCOLS[format.protocol],
    vcodec: format.vcodec,
    acodec: format.acodec,
    container: format.container,
    width: format.width,
    height: format.height,
    fps: format.fps,
    dynamic_range: format.dynamicRange ?? (format.vcodec === "none" ? undefined : "SDR"),
    tbr: format.tbr,
    vbr: format.vbr,
    abr: format.abr,
    asr: format.asr,
    audio_channels: format.audioChannels,
    filesize: format.fileSize,
    filesize_approx: format.fileSizeApprox,
    language: format.language,
    preference: format.preference,
    language_preference: format.languagePreference,
    format_note: format.note,
    has_drm: format.locked === undefined ? undefined : true,
  };
}

const selectors = SELECTOR_CASES.filter(({ differs }) => differs === undefined);
const templates = TEMPLATE_CASES.filter(({ differs }) => differs === undefined);

/** The Python that yt-dlp runs on, by the first line of its program; undefined if it is not here. */
function interpreter() {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, "yt-dlp");
    if (!existsSync(path)) continue;
    const [program = "python3", ...words] =
      /^#!\s*(.*)/.exec(readFileSync(path, "latin1"))?.[1]?.trim().split(/\s+/) ?? [];
    // Where the program is an archive, the module is in it.
    const env = { PYTHONPATH: path };
    const tried = spawnSync(program, [...words, "-c", "import yt_dlp"], { env: { ...process.env, ...env } });
    if (tried.status === 0) return { program, words, env };
  }
  return undefined;
}

/** What yt-dlp says; undefined if it is not here. */
function askYtDlp():
  | { readonly version: string; readonly selectors: unknown[]; readonly templates: unknown[] }
  | undefined {
  const input = JSON.stringify({
    selectors: selectors.map(({ shelf, format, quality }) => ({
      formats: mediaOf(shelf).formats.map(foreign),
      format: format ?? "bestvideo*+bestaudio/best",
      sort: quality?.split(",") ?? [],
    })),
    templates: templates.map(({ template = "%(title)s [%(id)s].%(ext)s", details }) => ({
      template,
      info: templateFields({ ...TEMPLATE_DETAILS, ...details }, TEMPLATE_CHOICE),
    })),
  });
  const oracle = join(import.meta.dirname, "../support/ytdlp-oracle.py");
  const python = interpreter();
  if (!python) return undefined;
  const { stdout, stderr, status } = spawnSync(python.program, [...python.words, oracle], {
    input,
    encoding: "utf8",
    timeout: 120_000,
    env: { ...process.env, ...python.env },
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

const answers = askYtDlp();

describe("yt-dlp comes to the same", {
  skip: answers === undefined && "yt-dlp is not installed: this test did NOT run",
}, () => {
  it("selects the same formats", (context) => {
    context.diagnostic(`${selectors.length} selectors, yt-dlp ${answers?.version}`);
    for (const [at, { shelf, format, quality, chooses, error }] of selectors.entries()) {
      const ours = error === "FORMAT_INVALID" ? "invalid" : error === "FORMAT_UNAVAILABLE" ? [] : chooses;
      assert.deepEqual(ours, answers?.selectors[at], `${shelf}: ${format} at ${quality}`);
    }
  });

  it("gives the same names", (context) => {
    context.diagnostic(`${templates.length} templates`);
    for (const [at, { template, gives }] of templates.entries()) assert.equal(gives, answers?.templates[at], template);
  });
});
