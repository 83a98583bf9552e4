/**
 * The schema's keys as a flat list, with the names under which they go by in the environment and on the command line.
 * A table whose entries a person names (`plugins`, `formats`) appears with NAME in the place of the name.
 */
import * as z from "zod";
import { configSchema } from "./schema.ts";

/** Stands for a name that a person chooses. */
export const WILDCARD = "NAME";

/** How text, from the environment or the command line, is read for a key. */
type FieldKind = "text" | "number" | "boolean" | "list" | "table";

/** One key. */
export interface Field {
  /** With dots: "log.level", "plugins.NAME.enabled". */
  readonly key: string;
  readonly path: readonly string[];
  readonly kind: FieldKind;
  readonly schema: z.ZodType;
  readonly description: string;
  /** What a number counts; empty if it counts nothing. */
  readonly unit: string;
  readonly needsRestart: boolean;
  /** "SNATCH_LOG__LEVEL". */
  readonly environment: string;
  /** "--log.level". */
  readonly flag: string;
}

/** The keys below a schema, in its order. */
export function fieldsOf(schema: z.ZodType, path: readonly string[] = []): Field[] {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodObject)
    return Object.entries(inner.shape).flatMap(([key, child]) => fieldsOf(child as z.ZodType, [...path, key]));
  if (inner instanceof z.ZodRecord && inner.valueType instanceof z.ZodObject)
    return fieldsOf(inner.valueType, [...path, WILDCARD]);
  const meta = schema.meta() ?? {};
  return [
    {
      key: path.join("."),
      path,
      kind: kindOf(inner),
      schema,
      description: String(meta["description"] ?? ""),
      unit: String(meta["unit"] ?? ""),
      needsRestart: meta["needsRestart"] === true,
      environment: `SNATCH_${path.map((part) => part.toUpperCase()).join("__")}`,
      flag: `--${path.map((part) => (part === WILDCARD ? part : part.replaceAll("_", "-"))).join(".")}`,
    },
  ];
}

/** Every key, in the order of the schema. The default places in these schemas are examples, for the documentation. */
export const FIELDS: readonly Field[] = fieldsOf(
  configSchema(
    {
      downloadDir: "~/Downloads",
      watchDir: "~/snatch-watch",
      cacheDir: "~/.cache/snatch",
      tokenFile: "~/.local/state/snatch/token",
      pluginDir: "~/.config/snatch/plugins",
    },
    { base: "/", home: "~" },
  ),
);

/** The field of a concrete path. */
export function findField(fields: readonly Field[], path: readonly string[]): Field | undefined {
  return fields.find((field) => field.path.length === path.length && begins(field.path, path));
}

/** True if keys lie below this path. */
export function isSection(fields: readonly Field[], path: readonly string[]): boolean {
  return fields.some((field) => field.path.length > path.length && begins(field.path, path));
}

/** True if this path names an entry of a table whose entries a person names: "plugins.foo". */
export function isNamedEntry(fields: readonly Field[], path: readonly string[]): boolean {
  return fields.some((field) => field.path[path.length - 1] === WILDCARD && begins(field.path, path));
}

/** Does a field's path begin with these parts? */
function begins(pattern: readonly string[], path: readonly string[]): boolean {
  return path.every((part, index) => pattern[index] === WILDCARD || pattern[index] === part);
}

/** Takes off defaults and whatever reads texts first. */
function unwrap(schema: z.ZodType): z.ZodType {
  let inner: z.core.$ZodType = schema;
  for (;;) {
    if (
      inner instanceof z.ZodDefault ||
      inner instanceof z.ZodPrefault ||
      inner instanceof z.ZodOptional ||
      inner instanceof z.ZodExactOptional
    )
      inner = inner.unwrap();
    else if (inner instanceof z.ZodPipe) inner = inner.out instanceof z.ZodTransform ? inner.in : inner.out;
    else return inner as z.ZodType;
  }
}

function kindOf(schema: z.ZodType): FieldKind {
  if (schema instanceof z.ZodNumber) return "number";
  if (schema instanceof z.ZodBoolean) return "boolean";
  if (schema instanceof z.ZodArray) return "list";
  if (schema instanceof z.ZodRecord) return "table";
  return "text";
}
