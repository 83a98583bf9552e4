/**
 * Programs that tests work with and that a machine may lack. A test that needs one says so by name and is skipped, loudly:
 * `test("…", { skip: missing("strace") }, …)`.
 */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Debian puts servers where not every PATH looks. */
const FOLDERS = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin", "/sbin"];

/** The Debian package of a program that has another name. */
const PACKAGES: Readonly<Record<string, string>> = {
  nginx: "nginx-light",
  aria2c: "aria2",
  "systemd-analyze": "systemd",
  "systemd-notify": "systemd",
};

/** Where a program is, or undefined. */
function findTool(name: string): string | undefined {
  return FOLDERS.map((folder) => join(folder, name)).find(isExecutable);
}

/** Where a program is. @throws Error that says how to get it */
export function requireTool(name: string): string {
  const path = findTool(name);
  if (path === undefined) throw new Error(`${name} is not installed (apt-get install ${PACKAGES[name] ?? name})`);
  return path;
}

/** For `skip`: false if all the programs are here, else a sentence that names those that are not. */
export function missing(...names: readonly string[]): string | false {
  const absent = names.filter((name) => findTool(name) === undefined);
  if (absent.length === 0) return false;
  const packages = absent.map((name) => PACKAGES[name] ?? name).join(" ");
  const reason = `NOT RUN: ${absent.join(", ")} is not installed here (apt-get install ${packages})`;
  console.error(`# ${reason}`);
  return reason;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
