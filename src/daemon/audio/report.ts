/**
 * A page about the audio of a file, perhaps of two states of it side by side: figures, waveform, spectrogram and loudness over
 * time. One HTML file that asks for nothing from anywhere and runs nothing; its policy (CSP) says so as well. What a file says
 * of itself is hostile until it is escaped.
 */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { formatBytes, formatDuration } from "../../shared/format.ts";
import type { DrawnAnalysis } from "./analyze.ts";
import { encodePng } from "./png.ts";
import { dbtp, lufs } from "./words.ts";

const WIDTH = 1000;
const WAVE_HEIGHT = 160;
const LOUDNESS_HEIGHT = 220;
/** LUFS at the top and the bottom of the loudness picture. */
const LOUDNESS = { top: 0, bottom: -60 };
const MOST_TAGS = 100;
const LONGEST_TAG = 500;

const STYLE = `:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:1040px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem;overflow-wrap:anywhere}h2{margin-top:2.5rem;overflow-wrap:anywhere}h3{margin-bottom:.4rem}
table{border-collapse:collapse;margin:1rem 0}th,td{text-align:left;padding:.2rem 1.2rem .2rem 0;vertical-align:top;overflow-wrap:anywhere}
th{font-weight:600}td.n{font-variant-numeric:tabular-nums}
svg,img{display:block;width:100%;background:#10131a;border-radius:4px}img{height:260px;image-rendering:auto}
text{fill:#aab;font:12px system-ui,sans-serif}.axis{display:flex;justify-content:space-between;color:#778;font-size:.8rem}
.grid{stroke:#2a3040}.wave{fill:#6cb6ff}.m{fill:none;stroke:#55708f;stroke-width:1}.s{fill:none;stroke:#ffb454;stroke-width:2}
.i{stroke:#7ee787;stroke-dasharray:6 4}`;

/** Dark blue, purple, orange, pale yellow. */
const STOPS = [
  [8, 10, 24],
  [54, 20, 98],
  [168, 46, 104],
  [244, 140, 50],
  [255, 244, 176],
] as const;

const PALETTE = Uint8Array.from({ length: 768 }, (_, at) => {
  const place = (Math.floor(at / 3) / 255) * (STOPS.length - 1);
  const [from, to] = [STOPS[Math.floor(place)] ?? STOPS[0], STOPS[Math.ceil(place)] ?? STOPS[0]];
  const channel = (at % 3) as 0 | 1 | 2;
  return Math.round(from[channel] + (to[channel] - from[channel]) * (place % 1));
});

/** One file of the page. */
export interface ReportPart {
  /** "Before"; absent where there is only one. */
  readonly title?: string;
  readonly analysis: DrawnAnalysis;
}

/** Makes the page. */
export function reportHtml(parts: readonly ReportPart[]): string {
  const name = basename(parts[0]?.analysis.source.path ?? "");
  const policy = `default-src 'none'; img-src data:; style-src 'sha256-${sha256(STYLE)}'; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${escapeHtml(name)} – audio</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(name)}</h1>
${figures(parts)}
${parts.map(part).join("\n")}
</body>
</html>
`;
}

/** Text as it may stand in HTML, also inside of quotes. What cannot be seen is shown as its number. */
export function escapeHtml(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029\ufffe\uffff]/gu, (character) => {
      const code = character.codePointAt(0) ?? 0;
      return `\\u{${code.toString(16)}}`;
    })
    .replace(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function figures(parts: readonly ReportPart[]): string {
  const rows: readonly (readonly [string, (analysis: DrawnAnalysis) => string])[] = [
    ["Integrated loudness", ({ loudness }) => level(loudness.integrated)],
    ["Loudness range", ({ loudness }) => `${loudness.range.toFixed(1)} LU`],
    ["True peak", ({ loudness }) => (Number.isFinite(loudness.truePeak) ? dbtp(loudness.truePeak) : "silence")],
    ["Loudest 400 ms", ({ loudness }) => level(loudness.momentaryMax)],
    ["Loudest 3 s", ({ loudness }) => level(loudness.shortTermMax)],
    ["Content", ({ content }) => content.content],
    [
      "Speech",
      ({ content }) => (content.speechShare === undefined ? "–" : `${Math.round(100 * content.speechShare)} %`),
    ],
    ["Length", ({ loudness }) => formatDuration(loudness.seconds * 1000)],
    ["Size", ({ source }) => formatBytes(source.identity.size)],
    ["Format", ({ source }) => formatOf(source)],
  ];
  const heads = parts.map(({ title }) => `<th>${escapeHtml(title ?? "")}</th>`).join("");
  const head = parts.length > 1 ? `<tr><th></th>${heads}</tr>` : "";
  const body = rows.map(([name, of]) => {
    const cells = parts.map(({ analysis }) => `<td class="n">${escapeHtml(of(analysis))}</td>`).join("");
    return `<tr><th>${name}</th>${cells}</tr>`;
  });
  return `<table>${head}${body.join("")}</table>`;
}

function level(value: number | undefined): string {
  return value === undefined || !Number.isFinite(value) ? "–" : lufs(value);
}

function formatOf({ info, stream }: DrawnAnalysis["source"]): string {
  const bits = stream.bitsPerSample === undefined ? "" : `, ${stream.bitsPerSample} bit`;
  const layout = stream.layout ?? `${stream.channels} channels`;
  return `${stream.codec} in ${info.format}, ${stream.sampleRate} Hz${bits}, ${layout}`;
}

function part({ title, analysis }: ReportPart): string {
  const { loudness, source, pictures, content } = analysis;
  const axis = `<div class="axis"><span>0 s</span><span>${escapeHtml(formatDuration(loudness.seconds * 1000))}</span></div>`;
  const tags = Object.entries(source.info.tags).slice(0, MOST_TAGS);
  return `<section>
${title === undefined ? "" : `<h2>${escapeHtml(title)}: ${escapeHtml(basename(source.path))}</h2>`}
<h3>Waveform</h3>
${waveform(pictures.wave)}${axis}
<h3>Spectrogram (30 Hz to ${Math.round(pictures.sampleRate / 2000)} kHz, logarithmic)</h3>
${spectrogram(pictures.spectrogram)}${axis}
<h3>Loudness over time: 400 ms (thin), 3 s (bold), whole (dashed)</h3>
${loudnessPicture(analysis)}${axis}
${content.notes.map((text) => `<p>${escapeHtml(text)}</p>`).join("")}
${tags.length === 0 ? "" : `<h3>Tags</h3><table>${tags.map(tagRow).join("")}</table>`}
</section>`;
}

function tagRow([name, value]: readonly [string, string]): string {
  return `<tr><th>${escapeHtml(cut(name))}</th><td>${escapeHtml(cut(value))}</td></tr>`;
}

function cut(text: string): string {
  return text.length > LONGEST_TAG ? `${text.slice(0, LONGEST_TAG)}…` : text;
}

function waveform(columns: DrawnAnalysis["pictures"]["wave"]): string {
  const half = WAVE_HEIGHT / 2;
  const x = (at: number) => ((at + 0.5) * WIDTH) / Math.max(1, columns.length);
  const y = (sample: number) => half - Math.max(-1, Math.min(1, sample)) * half;
  const point = (at: number, value: number) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`;
  // At least a line where there is nothing to be heard.
  const top = columns.map(({ high }, at) => point(at, high + 0.003));
  const bottom = columns.map(({ low }, at) => point(at, low - 0.003)).reverse();
  const shape = columns.length === 0 ? "" : `<polygon class="wave" points="${[...top, ...bottom].join(" ")}"/>`;
  return `<svg viewBox="0 0 ${WIDTH} ${WAVE_HEIGHT}" role="img" aria-label="waveform"><line class="grid" x1="0" x2="${WIDTH}" y1="${half}" y2="${half}"/>${shape}</svg>`;
}

function spectrogram({ width, height, pixels }: DrawnAnalysis["pictures"]["spectrogram"]): string {
  if (width === 0) return "<p>There is no sound.</p>";
  const png = encodePng({ width, height, pixels, palette: PALETTE });
  return `<img alt="spectrogram" src="data:image/png;base64,${png.toString("base64")}">`;
}

function loudnessPicture({ loudness, overTime }: DrawnAnalysis): string {
  const { top, bottom } = LOUDNESS;
  const y = (value: number) => ((top - Math.max(bottom, Math.min(top, value))) / (top - bottom)) * LOUDNESS_HEIGHT;
  const total = Math.max(loudness.seconds, 0.1);
  const line = (of: (point: (typeof overTime)[number]) => number, kind: string) => {
    const points = overTime.map(
      (point) => `${((point.seconds / total) * WIDTH).toFixed(1)},${y(of(point)).toFixed(1)}`,
    );
    return `<polyline class="${kind}" points="${points.join(" ")}"/>`;
  };
  const grid = [-10, -20, -30, -40, -50].map(
    (value) =>
      `<line class="grid" x1="0" x2="${WIDTH}" y1="${y(value)}" y2="${y(value)}"/><text x="4" y="${y(value) - 3}">${value}</text>`,
  );
  const whole = loudness.integrated;
  const integrated =
    whole === undefined ? "" : `<line class="i" x1="0" x2="${WIDTH}" y1="${y(whole)}" y2="${y(whole)}"/>`;
  return `<svg viewBox="0 0 ${WIDTH} ${LOUDNESS_HEIGHT}" role="img" aria-label="loudness over time">${grid.join("")}${line(({ momentary }) => momentary, "m")}${line(({ shortTerm }) => shortTerm, "s")}${integrated}</svg>`;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}
