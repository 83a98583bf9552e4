/** How a value is written: printf's conversions as Python has them, and yt-dlp's own. */
import type { TemplateValue } from "./template-fields.ts";
import type { Conversion } from "./template-parse.ts";

const NUMERIC = "diuoxXeEfFgGD";
const SUFFIXES = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"];

/** A number, if the value is one or says one. */
export function toNumber(value: TemplateValue | undefined): number | undefined {
  if (typeof value === "string" && value.trim() === "") return undefined;
  const number = typeof value === "number" || typeof value === "string" ? Number(value) : Number.NaN;
  return Number.isFinite(number) ? number : undefined;
}

/** Writes a value; undefined if a number is wanted and it is none. */
export function writeValue(value: TemplateValue, conversion: Conversion): string | undefined {
  const { type, flags } = conversion;
  if (NUMERIC.includes(type)) {
    const number = toNumber(value);
    return number === undefined
      ? undefined
      : type === "D"
        ? shortNumber(number, conversion)
        : writeNumber(number, conversion);
  }
  switch (type) {
    case "c":
      return pad([...toText(value)][0] ?? "", conversion);
    case "j":
      return pad(JSON.stringify(value, undefined, flags.includes("#") ? 4 : undefined), conversion);
    case "B":
      return pad(cutBytes(toText(value), conversion.precision ?? Number.POSITIVE_INFINITY), conversion);
    case "U":
      return padText(
        toText(value).normalize(`NF${flags.includes("+") ? "K" : ""}${flags.includes("#") ? "D" : "C"}`),
        conversion,
      );
    default:
      // "l" and "s": a list is one of its items, one behind the other.
      return padText(toText(value), conversion);
  }
}

function toText(value: TemplateValue): string {
  if (typeof value === "string") return value;
  if (typeof value === "number") return String(value);
  if (isList(value)) return value.map(toText).join(", ");
  return JSON.stringify(value);
}

const isList = (value: TemplateValue): value is readonly TemplateValue[] => Array.isArray(value);

/** Cut by characters, never inside of one. */
function padText(text: string, conversion: Conversion): string {
  const { precision } = conversion;
  const cut = precision === undefined ? text : [...text.slice(0, precision * 2)].slice(0, precision).join("");
  return pad(cut, conversion);
}

function pad(text: string, { flags, width }: Conversion, zeros = false): string {
  const missing = Math.max(0, width - [...text].length);
  if (flags.includes("-")) return text + " ".repeat(missing);
  if (!zeros) return " ".repeat(missing) + text;
  const sign = /^[+\- ]?(0[xXo])?/.exec(text)?.[0] ?? "";
  return sign + "0".repeat(missing) + text.slice(sign.length);
}

function writeNumber(number: number, conversion: Conversion): string {
  const { flags, type, precision } = conversion;
  const sign = number < 0 || Object.is(number, -0) ? "-" : flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
  const digits = digitsOf(Math.abs(number), type, precision, flags.includes("#"));
  return pad(sign + digits, conversion, flags.includes("0"));
}

function digitsOf(number: number, type: string, precision: number | undefined, alternate: boolean): string {
  const whole = (base: number): string =>
    BigInt(Math.trunc(number))
      .toString(base)
      .padStart(precision ?? 0, "0");
  switch (type) {
    case "o":
      return (alternate ? "0o" : "") + whole(8);
    case "x":
      return (alternate ? "0x" : "") + whole(16);
    case "X":
      return (alternate ? "0X" : "") + whole(16).toUpperCase();
    case "f":
    case "F":
      return number.toFixed(Math.min(precision ?? 6, 100));
    case "e":
      return exponential(number, precision ?? 6);
    case "E":
      return exponential(number, precision ?? 6).toUpperCase();
    case "g":
      return general(number, precision ?? 6);
    case "G":
      return general(number, precision ?? 6).toUpperCase();
    default:
      return whole(10);
  }
}

/** Two digits of exponent at least. */
function exponential(number: number, precision: number): string {
  return number.toExponential(Math.min(precision, 100)).replace(/e([+-])(\d)$/, "e$10$2");
}

function general(number: number, precision: number): string {
  const digits = Math.min(Math.max(1, precision), 100);
  const exponent = number === 0 ? 0 : Number(number.toExponential(digits - 1).split("e")[1]);
  const bare = (text: string) => (text.includes(".") ? text.replace(/\.?0+(?=e|$)/, "") : text);
  return exponent < -4 || exponent >= digits
    ? bare(exponential(number, digits - 1))
    : bare(number.toFixed(Math.min(100, Math.max(0, digits - 1 - exponent))));
}

/** "10M"; with "#" by powers of 1024. */
function shortNumber(number: number, conversion: Conversion): string {
  const binary = conversion.flags.includes("#");
  const factor = binary ? 1024 : 1000;
  let value = number;
  let power = 0;
  while (Math.abs(value) >= factor && power < SUFFIXES.length - 1) {
    value /= factor;
    power++;
  }
  const { precision, width, flags } = conversion;
  const rest = { flags: flags.replace("#", ""), width, ...(precision !== undefined && { precision }) };
  const type = precision === undefined && width === 0 && rest.flags === "" ? "d" : "f";
  const suffix = SUFFIXES[power] ?? "";
  return writeNumber(value, { ...rest, type }) + (binary && suffix ? `${suffix === "k" ? "K" : suffix}i` : suffix);
}

/** The longest beginning of at most so many bytes of UTF-8 that splits no character. */
export function cutBytes(text: string, most: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= most) return text;
  let end = Math.max(0, most);
  // 10xxxxxx continues a character.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}
