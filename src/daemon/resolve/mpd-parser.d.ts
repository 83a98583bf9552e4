/** The part of mpd-parser 1.4 that is used: what a Representation inherits. It comes without types. */
declare module "mpd-parser" {
  /** What it needs of an element. */
  export interface MpdNode {
    readonly tagName?: string;
    readonly attributes: readonly { readonly name: string; readonly value: string }[];
    readonly childNodes: readonly MpdNode[];
    readonly textContent: string;
    readonly nodeValue?: string;
  }
  /** Attributes that it knows are numbers, dates are seconds; all others are text. */
  type MpdAttributes = Readonly<Record<string, unknown>>;
  /** A Representation at one of its base URLs. */
  export interface RepresentationInfo {
    readonly attributes: MpdAttributes;
    readonly segmentInfo: {
      readonly template?: MpdAttributes;
      readonly list?: MpdAttributes;
      readonly base?: MpdAttributes;
      readonly segmentTimeline?: readonly MpdAttributes[];
    };
  }
  /** Throws Error if there is no Period, and whatever broken values lead to. */
  export function inheritAttributes(
    mpd: MpdNode,
    options: { readonly manifestUri: string; readonly NOW: number },
  ): { readonly locations?: readonly string[]; readonly representationInfo: readonly RepresentationInfo[] };
}
