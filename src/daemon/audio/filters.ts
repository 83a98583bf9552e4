/** The filters by name: those that are there from the start, and those that clients and plugins register. */
import { failure } from "../core/errors.ts";
import type { ChainTrial } from "../core/media-tool.ts";
import type { MediaTool } from "../core/ports/media.ts";
import { BUILT_IN } from "./filter-presets.ts";
import { type FilterText, parseFilters, relabelled } from "./filter-syntax.ts";
import type { NormalizationPreset } from "./presets.ts";

/** Filters that can be registered. */
const MOST = 1000;
/** Filters in one chain. */
const LONGEST_CHAIN = 32;

/** A filter to register. */
export interface FilterDefinition {
  /** A chain of FFmpeg's audio filters with one input and one output (ffmpeg-filters(1), "Filtergraph syntax"). */
  readonly filter: string;
  readonly description: string;
}

/** A filter as it is listed. */
export interface FilterInfo {
  readonly name: string;
  readonly description: string;
  readonly builtIn: boolean;
  /** What is run for sound at 48 kHz; absent for normalisations. */
  readonly filter?: string;
}

/** What the names of a chain come to. */
export interface ResolvedChain {
  /** Empty if there are only normalisations. */
  readonly chain: string;
  /** What it ends with. */
  readonly normalization?: NormalizationPreset;
  /** The names in the order in which they are run. */
  readonly order: readonly string[];
  readonly notes: readonly string[];
}

interface Registered extends FilterDefinition {
  readonly text: FilterText;
}

/** Knows filters by name. */
export class FilterRegistry {
  readonly #own = new Map<string, Registered>();

  /**
   * Registers a filter, or replaces one that was registered before. It can be used at once; if the trial fails it is
   * taken away again.
   *
   * @throws DownloadError INVALID_ARGUMENT for a name or a chain that is not allowed, and if FFmpeg does not run it
   */
  async register(tool: Pick<MediaTool, "refusesChain">, name: string, definition: FilterDefinition): Promise<void> {
    const { filter, description } = definition;
    if (!/^[a-z][a-z0-9_]{0,63}$/.test(name))
      throw failure(
        "INVALID_ARGUMENT",
        `${JSON.stringify(name)} is no name for a filter: small letters, digits and _, beginning with a letter, 64 at most`,
      );
    if (BUILT_IN.has(name))
      throw failure("INVALID_ARGUMENT", `${name} is there from the start and cannot be replaced: take another name`);
    if (description.length > 1000)
      throw failure("INVALID_ARGUMENT", "the description of a filter has 1,000 characters at most");
    if (this.#own.size >= MOST && !this.#own.has(name))
      throw failure("INVALID_ARGUMENT", `${MOST} filters are registered, and no more can be`);
    const before = this.#own.get(name);
    const entry = { filter, description, text: parseFilters(filter) };
    this.#own.set(name, entry);
    const reason = await tool.refusesChain(entry.text.render("t"), { kind: "audio" }).catch((error: unknown) => {
      this.#takeBack(name, entry, before);
      throw error;
    });
    if (reason === undefined) return;
    this.#takeBack(name, entry, before);
    throw failure("INVALID_ARGUMENT", `FFmpeg does not run the filter ${name}: ${reason}`);
  }

  /** All of them, those from the start first. */
  list(): FilterInfo[] {
    const builtIn = Array.from(BUILT_IN, ([name, { description, chain }]) => ({
      name,
      description,
      builtIn: true,
      ...(chain && { filter: chain(48_000) }),
    }));
    const own = Array.from(this.#own, ([name, { description, filter }]) => ({
      name,
      description,
      builtIn: false,
      filter,
    }));
    return [...builtIn, ...own];
  }

  /**
   * Makes one chain of names, in their order. A normalisation is done at the end wherever it stands: what comes behind it would undo it.
   *
   * @throws DownloadError INVALID_ARGUMENT for no names, too many, and one that is not there
   */
  resolve(names: readonly string[], sampleRate: number): ResolvedChain {
    if (names.length === 0) throw failure("INVALID_ARGUMENT", "a chain needs at least one filter");
    if (names.length > LONGEST_CHAIN)
      throw failure("INVALID_ARGUMENT", `a chain has ${LONGEST_CHAIN} filters at most, not ${names.length}`);
    const chains: string[] = [];
    const order: string[] = [];
    const normalizations: { readonly name: string; readonly preset: NormalizationPreset }[] = [];
    for (const [index, name] of names.entries()) {
      const builtIn = BUILT_IN.get(name);
      const own = this.#own.get(name);
      if (builtIn?.normalization !== undefined) normalizations.push({ name, preset: builtIn.normalization });
      else {
        if (builtIn?.chain !== undefined) chains.push(relabelled(builtIn.chain(sampleRate), `s${index}`));
        else if (own !== undefined) chains.push(own.text.render(`s${index}`));
        else throw this.#unknown(name);
        order.push(name);
      }
    }
    const last = normalizations.at(-1);
    if (last !== undefined) order.push(last.name);
    return {
      chain: chains.join(","),
      order,
      ...(last !== undefined && { normalization: last.preset }),
      notes: last === undefined ? [] : notesOn(names, normalizations.length, last.name),
    };
  }

  #takeBack(name: string, entry: Registered, before: Registered | undefined): void {
    if (this.#own.get(name) !== entry) return;
    if (before === undefined) this.#own.delete(name);
    else this.#own.set(name, before);
  }

  #unknown(name: string) {
    const known = [...BUILT_IN.keys(), ...this.#own.keys()];
    const shown = known.length > 30 ? [...known.slice(0, 30), "…"] : known;
    return failure("INVALID_ARGUMENT", `there is no filter ${JSON.stringify(name)}; there are ${shown.join(", ")}`);
  }
}

/** @throws DownloadError INVALID_ARGUMENT if FFmpeg does not run the chain on such sound */
export async function tryChain(
  tool: Pick<MediaTool, "refusesChain">,
  { chain, order }: ResolvedChain,
  trial: Omit<ChainTrial, "kind">,
): Promise<void> {
  if (chain === "") return;
  const reason = await tool.refusesChain(chain, { kind: "audio", ...trial });
  if (reason !== undefined)
    throw failure("INVALID_ARGUMENT", `FFmpeg does not run the chain ${order.join(", ")} on this file: ${reason}`);
}

function notesOn(names: readonly string[], normalizations: number, last: string): string[] {
  const notes: string[] = [];
  if (normalizations > 1) notes.push(`Of ${normalizations} normalisations in the chain the last one counts: ${last}.`);
  if (names.at(-1) !== last) notes.push(`${last} is done at the end: what stands behind it would change the loudness.`);
  return notes;
}
