/** A configuration as a list of values, as `config show` prints it and a reload compares it. */
import { redactUrl } from "../../shared/redact.ts";
import type { ConfigChange, ConfigValue } from "../core/ports/house.ts";
import { FIELDS, type Field, WILDCARD } from "./fields.ts";
import { isTable } from "./kinds.ts";
import type { Entry } from "./layers.ts";
import type { Config } from "./schema.ts";

/** The value at each key, in the order of the schema; named entries in the order in which they were written. */
function* leaves(config: Config): Generator<{ readonly key: string; readonly field: Field; readonly value: unknown }> {
  for (const field of FIELDS) {
    let found: { readonly path: readonly string[]; readonly value: unknown }[] = [{ path: [], value: config }];
    for (const part of field.path)
      found = found.flatMap(({ path, value }) => {
        if (!isTable(value)) return [];
        const keys = part === WILDCARD ? Object.keys(value) : Object.hasOwn(value, part) ? [part] : [];
        return keys.map((key) => ({ path: [...path, key], value: value[key] }));
      });
    for (const { path, value } of found) if (value !== undefined) yield { key: path.join("."), field, value };
  }
}

/** @param winners - the entry that decided, by key; defaults have none */
export function configValues(config: Config, winners: ReadonlyMap<string, Entry>): ConfigValue[] {
  return Array.from(leaves(config), ({ key, field, value }) => {
    const winner = winners.get(key);
    return {
      key,
      json: display(key, value),
      origin: winner?.origin ?? "default",
      originDetail: winner?.detail ?? "",
      needsRestart: field.needsRestart,
    };
  });
}

/** What differs between two configurations, in the order of the schema. A key that is not there has the JSON "null". */
export function diffConfig(before: Config, after: Config): ConfigChange[] {
  const old = new Map(Array.from(leaves(before), (leaf) => [leaf.key, leaf] as const));
  const now = new Map(Array.from(leaves(after), (leaf) => [leaf.key, leaf] as const));
  return [...new Set([...old.keys(), ...now.keys()])].flatMap((key) => {
    const [left, right] = [old.get(key), now.get(key)];
    if (JSON.stringify(left?.value ?? null) === JSON.stringify(right?.value ?? null)) return [];
    const needsRestart = (right ?? left)?.field.needsRestart ?? false;
    return [
      { key, before: display(key, left?.value ?? null), after: display(key, right?.value ?? null), needsRestart },
    ];
  });
}

/** Names, inside a plugin's own options, whose values are not shown. */
const SECRET = /token|secret|passw|api[-_]?key|credential/i;

/**
 * JSON that can be shown: without what a plugin's options or a URL hold in secrets. The path of a webhook's URL is one, since
 * whoever knows it may post there.
 */
function display(key: string, value: unknown): string {
  const isWebhook = key === "hooks.webhooks";
  return JSON.stringify(value, (name, inner: unknown) => {
    if (name !== "" && SECRET.test(name) && inner !== null) return "***";
    if (typeof inner !== "string") return inner;
    return isWebhook && name === "url" ? originOf(inner) : redactUrl(inner);
  });
}

function originOf(url: string): string {
  const { origin, pathname, search } = new URL(url);
  return pathname === "/" && search === "" ? origin : `${origin}/***`;
}
