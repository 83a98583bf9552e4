/**
 * A DASH manifest as mpd-parser is handed it: the elements that it reads, out of our own reader of XML, with limits and
 * without document types. What it does not keep goes along in attributes of our own: which Representation it was, on
 * which level a time line stood, what locks it.
 */
import type { MpdNode } from "mpd-parser";
import { lockName } from "./locked.ts";
import type { XmlElement } from "./xml.ts";

/** Elements that are handed on. */
const READ: ReadonlySet<string> = new Set([
  "MPD",
  "Period",
  "AdaptationSet",
  "Representation",
  "BaseURL",
  "Location",
  "Label",
  "Role",
  "SegmentTemplate",
  "SegmentList",
  "SegmentBase",
  "SegmentTimeline",
  "SegmentURL",
  "Initialization",
  "S",
]);

/** Alternatives on the outermost level that has some: those of several levels would multiply. */
const MOST_BASE_URLS = 3;

/** Levels, outermost first. */
const LEVELS: Readonly<Record<string, number>> = { Period: 1, AdaptationSet: 2, Representation: 3 };

/** Attributes of our own. They cannot be written in XML. */
export const OWN = {
  place: "@place",
  level: "@level",
  lock: "@lock",
  channels: "@channels",
  range: "@range",
  trick: "@trick",
} as const;

/** An element's name without its prefix. */
export const localName = (name: string): string => name.slice(name.indexOf(":") + 1);

/** The manifest's elements. */
export function mpdTree(root: XmlElement): MpdNode {
  return nodeOf(root, { place: "", level: 0, alternatives: MOST_BASE_URLS });
}

/** Where an element stands. */
interface Place {
  /** Of the levels around it, each by its number among its like. */
  readonly place: string;
  readonly level: number;
  /** Base URLs that are handed on, on each level from here. */
  readonly alternatives: number;
}

function nodeOf(element: XmlElement, at: Place): MpdNode {
  const tagName = localName(element.name);
  if (tagName === "S" || tagName === "SegmentURL") return entryOf(element, tagName, at.level);
  const counts = new Map<string, number>();
  const childNodes: MpdNode[] = [];
  const forked = element.children.filter(({ name }) => localName(name) === "BaseURL").length > 1;
  const inside: Place = forked ? { ...at, alternatives: 1 } : at;
  for (const child of element.children) {
    const name = localName(child.name);
    if (!READ.has(name)) continue;
    const index = counts.get(name) ?? 0;
    counts.set(name, index + 1);
    if (name === "BaseURL" && index >= at.alternatives) continue;
    const level = LEVELS[name];
    childNodes.push(nodeOf(child, level === undefined ? inside : { ...inside, level, place: `${at.place}/${index}` }));
  }
  const text = element.text.trim();
  if (text !== "") childNodes.push({ attributes: [], childNodes: [], textContent: text, nodeValue: text });
  const attributes = attributesOf(element, "");
  attributes.push(...ownAttributes(element, tagName, at.place));
  return { tagName, attributes, childNodes, textContent: text };
}

const NOTHING: readonly MpdNode[] = [];

/** Of lists there may be hundreds of thousands. */
function entryOf(element: XmlElement, tagName: string, level: number): MpdNode {
  const attributes = attributesOf(element, tagName === "S" ? RAW : "");
  attributes.push({ name: OWN.level, value: String(level) });
  return { tagName, attributes, childNodes: NOTHING, textContent: "" };
}

/** In front of the names of a time line's numbers: of 64 bits, they would lose their last digits if they were read. */
const RAW = "@";

function attributesOf(element: XmlElement, prefix: string): { name: string; value: string }[] {
  const found: { name: string; value: string }[] = [];
  // Names that every object has would be taken for its parsers.
  for (const [name, value] of element.attributes) if (!(name in {})) found.push({ name: prefix + name, value });
  return found;
}

function ownAttributes(element: XmlElement, tagName: string, place: string): MpdNode["attributes"] {
  if (tagName === "Representation") return [{ name: OWN.place, value: place }, ...properties(element)];
  return tagName === "AdaptationSet" ? properties(element) : [];
}

/** What descriptors say (ISO/IEC 23009-1 §5.8). */
function properties({ children }: XmlElement): MpdNode["attributes"] {
  const found: { name: string; value: string }[] = [];
  const locks: string[] = [];
  let scheme = "";
  for (const { name, attributes } of children) {
    const id = (attributes.get("schemeIdUri") ?? "").toLowerCase();
    const value = attributes.get("value") ?? "";
    const kind = localName(name);
    if (kind === "ContentProtection" && id === "urn:mpeg:dash:mp4protection:2011") scheme = value || "cenc";
    else if (kind === "ContentProtection") locks.push(lockName(id) || "a scheme without a name");
    else if (kind === "AudioChannelConfiguration" && /^\d{1,2}$/.test(value)) found.push({ name: OWN.channels, value });
    else if (!/^(Essential|Supplemental)Property$/.test(kind)) continue;
    else if (id === "http://dashif.org/guidelines/trickmode") found.push({ name: OWN.trick, value: "1" });
    else if (id === "urn:mpeg:mpegb:cicp:transfercharacteristics") found.push({ name: OWN.range, value });
  }
  if (scheme !== "" || locks.length > 0) {
    const systems = [...new Set(locks)].join(", ");
    found.push({ name: OWN.lock, value: [scheme, systems].filter(Boolean).join(" with ") });
  }
  return found;
}
