/** Levels in sentences for people, with a real minus sign as in the standards. */

/** A level for people. */
export function lufs(value: number): string {
  return `${minus(value)} LUFS`;
}

/** A true peak for people. */
export function dbtp(value: number): string {
  return `${minus(value)} dBTP`;
}

/** A change in dB for people. */
export function signed(value: number): string {
  return value < 0 ? minus(value) : `+${value.toFixed(1)}`;
}

function minus(value: number): string {
  return value.toFixed(1).replace("-", "−");
}
