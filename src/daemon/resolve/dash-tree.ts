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

/** Alternatives on one level: they multiply. */
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
  return nodeOf(root, "", 0);
}

function nodeOf(element: XmlElement, place: string, level: number): MpdNode {
  const tagName = localName(element.name);
  const own = ownAttributes(element, tagName, place, level);
  const counts = new Map<string, number>();
  const childNodes: MpdNode[] = [];
  for (const child of element.children) {
    const name = localName(child.name);
    if (!READ.has(name)) continue;
    const index = counts.get(name) ?? 0;
    counts.set(name, index + 1);
    if (name === "BaseURL" && index >= MOST_BASE_URLS) continue;
    const inner = LEVELS[name];
    childNodes.push(nodeOf(child, inner === undefined ? place : `${place}/${index}`, inner ?? level));
  }
  const text = element.text.trim();
  if (text !== "") childNodes.push({ attributes: [], childNodes: [], textContent: text, nodeValue: text });
  const attributes = [...element.attributes]
    // Names that every object has would be taken for its parsers.
    .filter(([name]) => !(name in {}))
    .map(([name, value]) => ({ name: name in RAW && tagName === "S" ? `@${name}` : name, value }));
  return { tagName, attributes: [...attributes, ...own], childNodes, textContent: text };
}

/** Of a time line: numbers of 64 bits, which would lose their last digits. */
const RAW: Readonly<Record<string, true>> = Object.assign(Object.create(null), { t: true, d: true, r: true });

function ownAttributes(element: XmlElement, tagName: string, place: string, level: number): MpdNode["attributes"] {
  if (tagName === "S" || tagName === "SegmentURL") return [{ name: OWN.level, value: String(level) }];
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
