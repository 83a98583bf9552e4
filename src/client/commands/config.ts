/** `snatchctl config`: the daemon's configuration, read and changed through the daemon. */
import { type ConfigChange, type ConfigValue, DaemonServiceService } from "../../gen/snatch/v1/daemon_service.ts";
import { connect } from "../connect.ts";
import { ClientError, fail } from "../failure.ts";
import type { Globals } from "../globals.ts";
import { escapeControls, jsonLine, note, print } from "../output.ts";
import { answers } from "../target.ts";

/** The options of `config show`. */
export interface ShowFlags extends Globals {
  readonly origin?: boolean;
}

/** Prints every value in force, and with --origin where it came from. */
export async function show(flags: ShowFlags): Promise<number> {
  using connection = connect(flags);
  const { values } = await connection.ask(DaemonServiceService.getConfig, { keys: [] });
  const width = Math.max(...values.map(({ key }) => key.length), 0);
  for (const value of values) {
    if (flags.json) await print(jsonLine(valueJson(value)));
    else {
      const origin = [value.origin, value.originDetail].filter(Boolean).join(" ");
      const text = `${value.key.padEnd(width)} = ${escapeControls(value.valueJson)}`;
      await print(flags.origin ? `${text}  # ${escapeControls(origin)}` : text);
    }
  }
  return 0;
}

/** Prints one value, or all values below a key. A single text comes without its quotes. */
export async function get(globals: Globals, key: string): Promise<number> {
  using connection = connect(globals);
  const { values } = await connection.ask(DaemonServiceService.getConfig, { keys: [key] });
  const [first] = values;
  if (first === undefined) throw fail("CONFIG_INVALID", `there is no key "${key}"`, "See `snatchctl config show`.");
  if (globals.json) for (const value of values) await print(jsonLine(valueJson(value)));
  else if (values.length === 1 && first.key === key) await print(plainValue(first.valueJson));
  else for (const value of values) await print(`${value.key} = ${escapeControls(value.valueJson)}`);
  return 0;
}

/** Writes one value into the configuration file, and puts it in force. `undefined` takes the key out of the file. */
export async function set(globals: Globals, key: string, value: string | undefined): Promise<number> {
  using connection = connect(globals);
  const json = value === undefined ? "null" : JSON.stringify(readValue(value));
  const { changes } = await connection.ask(DaemonServiceService.setConfig, { valuesJson: { [key]: json } });
  await reportChanges(changes, globals);
  return 0;
}

/** Prints where the configuration file is, whether it exists or not. */
export async function path(globals: Globals): Promise<number> {
  using connection = connect(globals);
  const { target } = connection;
  // Without a daemon the file that it would read is meant.
  const running = !target.own || (await answers(target.address));
  const file = running
    ? (await connection.ask(DaemonServiceService.getStatus, {})).configFile
    : target.paths.configFile;
  await print(globals.json ? jsonLine({ path: file }) : escapeControls(file));
  return 0;
}

/** A line for each change, and whether it holds now. */
export async function reportChanges(changes: readonly ConfigChange[], globals: Globals): Promise<void> {
  if (changes.length === 0 && !globals.json && !globals.quiet) note("nothing changed");
  for (const change of changes) {
    const { key, oldJson, newJson, needsRestart } = change;
    if (globals.json)
      await print(jsonLine({ key, old: parsed(oldJson), new: parsed(newJson), needs_restart: needsRestart }));
    else if (!globals.quiet)
      await print(
        escapeControls(`${key}: ${oldJson} → ${newJson}${needsRestart ? " (after a restart of the daemon)" : ""}`),
      );
  }
}

/** What looks like JSON is JSON, everything else is text: `8388608`, `true`, `["a"]`, `/srv/files`. */
function readValue(text: string): unknown {
  const value = parsed(text);
  if (value === null)
    throw new ClientError("INVALID_ARGUMENT", "null is no value", "Use `snatchctl config unset KEY`.");
  return value;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}

function plainValue(json: string): string {
  const value = parsed(json);
  return escapeControls(typeof value === "string" ? value : json);
}

function valueJson(value: ConfigValue): Record<string, unknown> {
  return {
    key: value.key,
    value: parsed(value.valueJson),
    origin: value.origin,
    origin_detail: value.originDetail,
    needs_restart: value.needsRestart,
  };
}
