/**
 * What a registered filter may say. The text is taken apart as libavfilter does it (ffmpeg-filters(1), "Filtergraph
 * syntax"), and only filters that work on the sound alone are let through: none that opens a file, a socket or a plugin
 * (amovie, asendcmd, azmq, ladspa, lv2, sofalizer, arnndn), makes sound without end or keeps a whole file in memory
 * (sources, apad, aloop, areverse), or makes pictures. Plugins and clients register filters, so this is a list of what is
 * allowed, not of what is forbidden.
 */
import { failure } from "../core/errors.ts";

/** Characters of a registered chain. */
const MAX_LENGTH = 4096;
/** Filters in a registered chain. */
const MAX_FILTERS = 32;

const ALLOWED: ReadonlySet<string> = new Set(
  (
    "acompressor acontrast acrossover acrusher adeclick adeclip adecorrelate adelay adenorm adrc adynamicequalizer " +
    "adynamicsmooth aecho aemphasis aeval aexciter afade afftdn afftfilt afir aformat afreqshift afwtdn agate aiir alimiter " +
    "allpass amerge amix amultiply anequalizer anlmdn anull aphaser aphaseshift apsyclip apulsator aresample asetnsamples " +
    "asetpts asoftclip aspectralstats asplit astats asubboost asubcut asupercut asuperpass asuperstop atempo atilt atrim " +
    "bandpass bandreject bass biquad channelmap channelsplit chorus compand compensationdelay crossfeed crystalizer " +
    "dcshift deesser dialoguenhance dynaudnorm earwax equalizer extrastereo firequalizer flanger haas headphone highpass " +
    "highshelf join loudnorm lowpass lowshelf mcompand pan rubberband sidechaincompress sidechaingate silenceremove " +
    "speechnorm stereotools stereowiden superequalizer surround tiltshelf treble tremolo vibrato virtualbass volume"
  ).split(" "),
);

/** Options that name a file, also in versions to come. */
const FILE_OPTION = /file|path|plugin|model|sofa|socket|url|addr/i;
/** Filters some of whose options name a file: what stands by position alone could be one of these. */
const NAMED_ONLY: ReadonlySet<string> = new Set(["firequalizer", "loudnorm", "astats", "aspectralstats"]);

/** A filter as it stands in a chain. */
interface ChainFilter {
  readonly inputs: readonly string[];
  /** The text of the filter, quotes and all. */
  readonly text: string;
  readonly outputs: readonly string[];
  /** What stands behind it. */
  readonly end: "," | ";" | "";
}

/** A chain that was found to be allowed. */
export interface FilterText {
  /** The chain with labels of its own, so that it can stand twice in a graph. @param prefix - letters and digits */
  render(prefix: string): string;
}

/**
 * Checks a chain with one input and one output that came from outside.
 *
 * @throws DownloadError INVALID_ARGUMENT that says what is not allowed
 */
export function parseFilters(chain: string): FilterText {
  if (chain.trim() === "") throw refused("it is empty");
  if (chain.length > MAX_LENGTH) throw refused(`it has ${chain.length} characters; ${MAX_LENGTH} are the most`);
  if (chain.includes("\0")) throw refused("it holds NUL");
  const filters = filtersIn(chain);
  if (filters.length > MAX_FILTERS) throw refused(`it has ${filters.length} filters; ${MAX_FILTERS} are the most`);
  for (const { text } of filters) checkFilter(text);
  if ((filters[0]?.inputs.length ?? 0) > 0 || (filters.at(-1)?.outputs.length ?? 0) > 0)
    throw refused("its first filter must take, and its last one give, what has no label");
  return { render: (prefix) => render(filters, prefix) };
}

/** A chain of our own with labels of its own. @param prefix - letters and digits */
export function relabelled(chain: string, prefix: string): string {
  return render(filtersIn(chain), prefix);
}

function render(filters: readonly ChainFilter[], prefix: string): string {
  const renamed = (labels: readonly string[]): string => labels.map((label) => `[${prefix}${label}]`).join("");
  return filters.map(({ inputs, text, outputs, end }) => renamed(inputs) + text + renamed(outputs) + end).join("");
}

function filtersIn(chain: string): ChainFilter[] {
  const filters: ChainFilter[] = [];
  let at = 0;
  const labels = (): string[] => {
    const found: string[] = [];
    for (;;) {
      const [whole, label = ""] = /^\s*\[([^[\]]*)\]/.exec(chain.slice(at)) ?? [];
      if (whole === undefined) return found;
      if (!/^\w{1,64}$/.test(label)) throw refused(`[${label}] is no label: letters, digits and _ only`);
      found.push(label);
      at += whole.length;
    }
  };
  do {
    const inputs = labels();
    const end = endOf(chain, at, "[],;");
    const text = chain.slice(at, end).trim();
    at = end;
    const outputs = labels();
    const rest = chain.slice(at).trimStart();
    const mark = rest.slice(0, 1);
    if (mark !== "" && mark !== "," && mark !== ";") throw refused(`there is something wrong at ${excerpt(rest)}`);
    at = chain.length - rest.length + mark.length;
    filters.push({ inputs, text, outputs, end: mark });
  } while (at < chain.length);
  if (filters.at(-1)?.end !== "") throw refused("it ends in a separator");
  return filters;
}

function checkFilter(text: string): void {
  const [, name = ""] = /^([A-Za-z0-9_]*)/.exec(text) ?? [];
  const rest = text.slice(name.length).replace(/^@\w*/, "");
  if (!ALLOWED.has(name))
    throw refused(
      `${excerpt(name === "" ? text : name)} is not among the filters that may be registered (those that work on the sound ` +
        "alone and open no files, sockets or plugins)",
    );
  if (rest === "") return;
  if (!rest.startsWith("=")) throw refused(`${excerpt(text)} is no filter`);
  const options = unquoted(rest.slice(1));
  for (const option of split(options, ":")) {
    const [, key] = /^\s*([^='\\]*?)\s*=/.exec(option) ?? [];
    const hasName = key !== undefined && /^[\w/-]+$/.test(key);
    // A slash in front reads the value from a file (FFmpeg 7).
    if (hasName && (key.startsWith("/") || FILE_OPTION.test(key)))
      throw refused(`${name}'s option ${excerpt(key)} names a file`);
    if (!hasName && NAMED_ONLY.has(name))
      throw refused(`the options of ${name} must be named: ${excerpt(option)} is not`);
  }
}

/** Where a piece ends that begins at `at`: at one of the marks that is neither quoted nor escaped. */
function endOf(text: string, at: number, marks: string): number {
  let quoted = false;
  for (let index = at; index < text.length; index++) {
    const character = text.charAt(index);
    if (quoted) quoted = character !== "'";
    else if (character === "'") quoted = true;
    else if (character === "\\") index++;
    else if (marks.includes(character)) return index;
  }
  if (quoted) throw refused("a quote is not closed");
  return text.length;
}

function split(text: string, mark: string): string[] {
  const pieces: string[] = [];
  for (let at = 0; ; ) {
    const end = endOf(text, at, mark);
    pieces.push(text.slice(at, end));
    if (end >= text.length) return pieces;
    at = end + 1;
  }
}

/** One level of quotes and escapes less. */
function unquoted(text: string): string {
  return text.replace(/'([^']*)'|\\([\s\S])/g, (_whole, quoted?: string, escaped?: string) => quoted ?? escaped ?? "");
}

function excerpt(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

function refused(why: string) {
  return failure("INVALID_ARGUMENT", `this chain cannot be registered: ${why}`);
}
