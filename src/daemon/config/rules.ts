/** What no single key can tell: keys that need one another, and what the machine has to say about the paths. */
import { access, constants } from "node:fs/promises";
import { dirname } from "node:path";
import { parseAddress } from "../../shared/address.ts";
import type { ConfigValue } from "../core/ports/house.ts";
import { folderState } from "./folders.ts";
import type { ConfigProblem } from "./problems.ts";
import type { Config } from "./schema.ts";

/**
 * Checks keys against one another and paths against the machine. Default places are not checked: a program that never
 * writes there has no problem; the checks of folders report them.
 */
export async function checkRules(config: Config, values: readonly ConfigValue[]): Promise<ConfigProblem[]> {
  const problems: ConfigProblem[] = [];
  const value = (key: string) => values.find((candidate) => candidate.key === key);
  const wrong = (key: string, message: string) =>
    problems.push({ severity: "error", key, message, where: value(key)?.originDetail ?? "" });
  const isSet = (key: string) => value(key)?.origin !== "default";

  const { listen, tls_cert, tls_key } = config.daemon;
  if (tls_cert !== "" && tls_key === "") wrong("daemon.tls_cert", "needs daemon.tls_key as well");
  if (tls_key !== "" && tls_cert === "") wrong("daemon.tls_key", "needs daemon.tls_cert as well");
  for (const text of listen) {
    const address = parseAddress(text);
    if (address.kind === "tcp" && !address.loopback && (tls_cert === "" || tls_key === ""))
      wrong("daemon.listen", `${text} can be reached from other machines: set daemon.tls_cert and daemon.tls_key`);
  }

  const readable = async (key: string, file: string) => {
    if (file === "") return;
    await access(file, constants.R_OK).catch((error: NodeJS.ErrnoException) =>
      wrong(key, error.code === "ENOENT" ? `there is no file ${file}` : `${file} cannot be read: ${error.code}`),
    );
  };
  const writable = async (key: string, folder: string) => {
    if (!isSet(key.replace(/\[.*/, ""))) return;
    const { obstacle } = await folderState(folder);
    if (obstacle !== undefined)
      problems.push({
        severity: "error",
        key,
        message: obstacle,
        where: value(key.replace(/\[.*/, ""))?.originDetail ?? "",
      });
  };
  await Promise.all([
    readable("daemon.tls_cert", tls_cert),
    readable("daemon.tls_key", tls_key),
    writable("download_dir", config.download_dir),
    config.log.file === "" ? undefined : writable("log.file", dirname(config.log.file)),
    ...config.watch.folders.flatMap(({ path, directory }, index) => [
      writable(`watch.folders[${index}].path`, path),
      directory === undefined ? undefined : writable(`watch.folders[${index}].directory`, directory),
    ]),
  ]);
  return problems;
}
