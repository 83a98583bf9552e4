/** Cron expressions, checked where they are written and not when they first fail to run. */
import { validateDetailed } from "node-cron";

/**
 * Checks a cron expression: five fields, or six with the seconds first.
 *
 * @returns why it cannot be used, or undefined if it can
 */
export function validateCron(expression: string): string | undefined {
  const { valid, errors } = validateDetailed(expression);
  if (valid) return undefined;
  const why = errors.map(({ field, message }) => `${field}: ${message}`).join("; ");
  return `"${expression}" is not a cron expression: ${why || "write minute hour day month weekday"}`;
}
