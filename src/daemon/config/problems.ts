/**
 * What is wrong with a configuration, in one line a problem: the key's path, the reason, where it stands. All problems
 * are gathered before anyone is told, so that a file is repaired in one go.
 */
import type * as z from "zod";
import { formatBytes } from "../../shared/format.ts";
import { type DownloadError, failure } from "../core/errors.ts";
import type { Field } from "./fields.ts";
import { nearest } from "./nearest.ts";

/** Something wrong. A warning does not keep the configuration from being used. */
export interface ConfigProblem {
  readonly severity: "error" | "warning";
  /** The key's path with dots; empty if the whole file is concerned. */
  readonly key: string;
  readonly message: string;
  /** File and line, variable or flag. */
  readonly where: string;
}

/** The problem in one line. */
export function problemLine(problem: ConfigProblem): string {
  const where = problem.where === "" ? "" : ` (${problem.where})`;
  return problem.key === "" ? `${problem.message}${where}` : `${problem.key}: ${problem.message}${where}`;
}

/** The error that tells of all problems at once. */
export function invalidConfig(problems: readonly ConfigProblem[]): DownloadError {
  const errors = problems.filter((problem) => problem.severity === "error");
  const lines = errors.map(problemLine);
  const keys = [...new Set(errors.map((problem) => problem.key).filter((key) => key !== ""))];
  return failure(
    "CONFIG_INVALID",
    lines.length === 1 ? (lines[0] ?? "") : `${lines.length} errors in the configuration\n${lines.join("\n")}`,
    keys.length > 0 ? { metadata: { keys: keys.join(", ") } } : {},
  );
}

/** Why a name is no key, with the one that was probably meant. */
export function unknownKey(key: string, fields: readonly Field[]): string {
  return `there is no such key${didYouMean(nearest(key, [...fields.map((field) => field.key), ...sections(fields)]))}`;
}

/** "; did you mean X?", or nothing. */
export function didYouMean(name: string | undefined): string {
  return name === undefined ? "" : `; did you mean ${name}?`;
}

function sections(fields: readonly Field[]): string[] {
  return [...new Set(fields.filter((field) => field.path.length > 1).map((field) => field.path[0] ?? ""))];
}

/** A value as a message shows it. */
export function show(value: unknown): string {
  // JSON has no NaN and no infinity.
  const text = (typeof value === "number" ? undefined : JSON.stringify(value)) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

const EXPECTED: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a table",
  record: "a table",
};

/** What zod found, in words. `value` is what was to be checked. */
export function reason(issue: z.core.$ZodIssue, value: unknown, unit: string): string {
  const found = issue.path.reduce<unknown>(
    (inner, part) =>
      typeof inner === "object" && inner !== null ? (inner as Record<PropertyKey, unknown>)[part] : inner,
    value,
  );
  switch (issue.code) {
    case "invalid_type":
      if (found === undefined) return "is missing";
      return `expected ${EXPECTED[issue.expected] ?? issue.expected}, not ${show(found)}`;
    case "invalid_value":
      return `${show(found)} is not one of ${issue.values.join(", ")}${didYouMean(nearest(String(found), issue.values.map(String)))}`;
    case "too_small":
      if (issue.origin === "string") return "must not be empty";
      return `${show(found)} is too small: at least ${quantity(issue.minimum, unit)}`;
    case "too_big":
      if (issue.origin === "array") return `has too many entries: at most ${issue.maximum}`;
      return `${show(found)} is too large: at most ${quantity(issue.maximum, unit)}`;
    case "unrecognized_keys":
      return `there is no such key: ${issue.keys.join(", ")}`;
    case "invalid_key":
      return issue.issues[0]?.message ?? issue.message;
    default:
      return issue.message;
  }
}

function quantity(value: number | bigint, unit: string): string {
  if (unit.startsWith("bytes") && Number(value) >= 1024) return `${value} (${formatBytes(Number(value))})`;
  return unit === "" ? String(value) : `${value} ${unit}`;
}
