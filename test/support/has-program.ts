/** Tests that need a program of the machine say so by name where it is missing. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Options for a test: it runs only where `name` is on the PATH. */
export function hasProgram(name: string): { readonly skip: string | false } {
  const found = (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  return { skip: !found && `${name} is not installed: this test did NOT run` };
}
