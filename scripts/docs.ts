/**
 * Writes docs/CONFIGURATION.md from the schema and docs/ERRORS.md from the table of errors.
 * `node scripts/docs.ts` writes them; `node scripts/docs.ts --check` exits 1 if they are not up to date.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { format } from "node:util";
import * as z from "zod";
import { FIELDS, type Field } from "../src/daemon/config/fields.ts";
import { ERRORS, EXIT } from "../src/shared/errors.ts";
import { formatBytes } from "../src/shared/format.ts";
import { VERSION } from "../src/shared/version.ts";

const NOTICE = "<!-- Written by `node scripts/docs.ts`: change its sources, not this file. -->";

const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("\n", " ");
const row = (...cells: string[]) => `| ${cells.map(cell).join(" | ")} |`;
const code = (text: string) => `\`${text}\``;

interface Shape {
  readonly type?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly enum?: readonly string[];
  readonly default?: unknown;
}

/** A number with its unit where the unit makes it easier to read. */
function amount(value: number, field: Field): string {
  return field.unit.startsWith("bytes") && value >= 1024 ? `${value} (${formatBytes(value)})` : String(value);
}

function range(shape: Shape, field: Field): string {
  const { minimum, maximum } = shape;
  const top = maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER ? undefined : maximum;
  if (minimum !== undefined && top !== undefined) return `${amount(minimum, field)} to ${amount(top, field)}`;
  return minimum === undefined ? "" : `from ${amount(minimum, field)}`;
}

function typeOf(shape: Shape, field: Field): string {
  if (shape.enum) return shape.enum.map((value) => code(JSON.stringify(value))).join(", ");
  const names = { number: shape.type === "integer" ? "whole number" : "number", boolean: "`true` or `false`" };
  const type = { ...names, text: "text", list: "list", table: "table" }[field.kind];
  const unit = field.unit === "" ? "" : ` of ${field.unit}`;
  const limits = field.kind === "number" ? range(shape, field) : "";
  return `${type}${unit}${limits === "" ? "" : `, ${limits}`}`;
}

function defaultOf(shape: Shape, field: Field): string {
  if (!("default" in shape)) return field.schema instanceof z.ZodExactOptional ? "none" : "required";
  const value = shape.default;
  if (typeof value === "number") return field.unit.startsWith("bytes") ? amount(value, field) : code(String(value));
  return code(JSON.stringify(value).replace(`snatch/${VERSION}`, "snatch/VERSION"));
}

function describeField(field: Field): string {
  const shape = z.toJSONSchema(field.schema, { io: "output", unrepresentable: "any" }) as Shape;
  return [
    `### ${code(field.key)}`,
    "",
    field.description,
    "",
    `- Type: ${typeOf(shape, field)}`,
    `- Default: ${defaultOf(shape, field)}`,
    `- Environment: ${code(field.environment)}, flag: ${code(field.flag)}`,
    ...(field.needsRestart ? ["- A change needs a restart."] : []),
    "",
  ].join("\n");
}

function configuration(): string {
  const sections = Map.groupBy(FIELDS, (field) =>
    field.path.length === 1 ? "" : `[${field.path.slice(0, -1).join(".")}]`,
  );
  const overview = FIELDS.map((field) => {
    const shape = z.toJSONSchema(field.schema, { io: "output", unrepresentable: "any" }) as Shape;
    return row(
      `[${code(field.key)}](#${field.key.replaceAll(".", "").toLowerCase()})`,
      defaultOf(shape, field),
      field.description,
    );
  });
  const details = Array.from(sections, ([section, fields]) =>
    [`## ${section === "" ? "Keys without a section" : code(section)}`, "", ...fields.map(describeField)].join("\n"),
  );
  return `${readFileSync(new URL("configuration.md", import.meta.url), "utf8").replace(/^/, `${NOTICE}\n\n`)}
${row("Key", "Default", "Meaning")}
| --- | --- | --- |
${overview.join("\n")}

${details.join("\n")}`.replace(/\n+$/, "\n");
}

const KIND_CLASS = {
  download: "DownloadError",
  network: "NetworkError",
  resource: "ResourceError",
  "file-system": "FileSystemError",
  "system-resource": "SystemResourceError",
} as const;

/** What a script learns from an exit code. */
const EXIT_MEANING: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: "Everything that was asked for is done; each file is whole and in place.",
  unexpected: "Something in Snatch itself went wrong.",
  usage: "The command or a value in it is not right.",
  network: "The way to the origin failed.",
  resource: "The origin answered, but not with the file.",
  fileSystem: "A file or folder could not be read, written or named.",
  systemResource: "The machine lacks something: room, memory, descriptors.",
  integrity: "Bytes are not what they must be.",
  daemon: "No daemon answered, or it did not accept the caller.",
  refused: "Refused: the state of things, a rule or a hook does not allow it.",
  paused: "Paused before the end; it can be resumed.",
  alreadyRunning: "Another daemon uses the same state folder.",
  config: "The configuration, or a plugin, has an error.",
  interrupted: "Ended by Ctrl-C; what was begun can be resumed.",
};

function errors(): string {
  const table = Object.entries(ERRORS).map(([name, entry]) =>
    row(
      code(name),
      KIND_CLASS[entry.kind],
      entry.retryable ? "yes" : "no",
      code(entry.grpc),
      String(entry.exit),
      entry.meaning,
      entry.hint,
    ),
  );
  const exits = Object.entries(EXIT).map(([name, number]) =>
    row(String(number), EXIT_MEANING[name as keyof typeof EXIT]),
  );
  return `${NOTICE}

# Errors

Every error has a stable code. It is the \`code\` of the error classes in the library, the \`reason\` of
google.rpc.ErrorInfo (domain \`snatch.dev\`) on the wire, and the first word of what \`snatchctl\` prints. A code is
never renamed and never used again for something else.

*Again* says whether the same attempt may succeed later without anyone doing anything; such errors are retried, up to
\`max_retries\` times.

${row("Code", "Class", "Again", "gRPC status", "Exit code", "Meaning", "What to do")}
| --- | --- | --- | --- | --- | --- | --- |
${table.join("\n")}

## Exit codes

${row("Code", "Meaning")}
| --- | --- |
${exits.join("\n")}
`;
}

const stale = [
  ["docs/CONFIGURATION.md", configuration()],
  ["docs/ERRORS.md", errors()],
].filter(([file = "", text]) => {
  const path = new URL(`../${file}`, import.meta.url);
  let current: string | undefined;
  try {
    current = readFileSync(path, "utf8");
  } catch {
    // Not written yet.
  }
  if (current === text) return false;
  if (!process.argv.includes("--check")) writeFileSync(path, text ?? "");
  return true;
});
for (const [file] of stale)
  console.log(format("%s %s", process.argv.includes("--check") ? "not up to date:" : "wrote", file));
if (stale.length > 0 && process.argv.includes("--check")) process.exitCode = 1;
