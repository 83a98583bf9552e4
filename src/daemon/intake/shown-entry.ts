/** A refused entry as it can be shown: what its URLs and header fields keep secret is masked, then it is cut. */
import { redactUrl } from "../../shared/redact.ts";

/** Characters that are shown. */
const SHOWN = 1000;

/** Option lines whose value is a header field's, also mistyped: what it is good for is the owner's to know. */
const HEADER = /^(\s*header\s*[=:\s]\s*)([^:]*)(:?)/i;
const USER_AGENT = /^\s*user-agent\s*[=:\s]/i;
const OPTION = /^\s+[a-z-]+\s*=/;

/** @param text - the entry's lines */
export function shownEntry(text: string): string {
  return text.split("\n").map(shownLine).join("\n").slice(0, SHOWN);
}

function shownLine(line: string): string {
  const [header, before = "", name = "", colon] = HEADER.exec(line) ?? [];
  // Without a colon there is no telling what is the name and what the value.
  if (header !== undefined) return colon ? `${before}${name}: ***` : `${before}***`;
  const [agent] = USER_AGENT.exec(line) ?? [];
  if (agent !== undefined) return `${agent}***`;
  const [option = ""] = OPTION.exec(line) ?? [];
  return option + line.slice(option.length).split("\t").map(redactUrl).join("\t");
}
