/** Bytes, rates and durations, as people read and write them. Units are binary: 1 MiB is 1,048,576 bytes. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** "1.5 GiB". Three significant digits at most; whole bytes below 1 KiB. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${UNITS[unit]}`;
}

/** "12.5 MiB/s". */
export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

/** "45 s", "3 min 20 s", "2 h 5 min", "4 d 3 h". */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return join(minutes, "min", seconds % 60, "s");
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return join(hours, "h", minutes % 60, "min");
  return join(Math.floor(hours / 24), "d", hours % 24, "h");
}

function join(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
}

/**
 * Reads "8388608", "8M", "1.5GiB", "500 kB", "2MB/s" or "unlimited" (0). A letter alone and "iB" are powers of 1024,
 * "kB", "MB" … powers of 1000 (IEC 80000-13).
 *
 * @returns whole bytes
 * @throws TypeError with a message for people
 */
export function parseBytes(text: string): number {
  const value = text.trim();
  if (/^(unlimited|none|off)$/i.test(value)) return 0;
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kmgtp])(i?b)?|b)?(?:\/s)?$/i.exec(value);
  if (!match) throw new TypeError(`"${text}" is not a number of bytes: write 500K, 8M or 1.5GiB`);
  const power = match[2] ? "kmgtp".indexOf(match[2].toLowerCase()) + 1 : 0;
  const base = match[3]?.toLowerCase() === "b" ? 1000 : 1024;
  const bytes = Math.round(Number(match[1]) * base ** power);
  if (!Number.isSafeInteger(bytes)) throw new TypeError(`"${text}" is more bytes than can be counted`);
  return bytes;
}

/**
 * Reads "30", "1.5s", "500ms", "10m", "2h", "7d"; a number alone is seconds.
 *
 * @returns seconds
 * @throws TypeError with a message for people
 */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)?$/i.exec(text.trim());
  if (!match) throw new TypeError(`"${text}" is not a duration: write 30s, 10m or 2h`);
  const factor = { ms: 0.001, s: 1, m: 60, min: 60, h: 3600, d: 86400 }[match[2]?.toLowerCase() ?? "s"] ?? 1;
  return Number(match[1]) * factor;
}
