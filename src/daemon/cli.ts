/**
 * snatchd's command line: argv, environment and file make the configuration, the configuration makes the daemon; signals
 * steer it, and how it ended becomes the exit code.
 */
import { EXIT } from "../shared/errors.ts";
import type { Environment } from "../shared/paths.ts";
import { VERSION } from "../shared/version.ts";
import { initializeConfig } from "./config/initialize.ts";
import { type LoadOptions, loadConfigWithOrigins } from "./config/load.ts";
import { asDownloadError } from "./core/errors.ts";
import { Daemon } from "./daemon.ts";
import { roomChecks } from "./room-checks.ts";

const USAGE = `snatchd ${VERSION}: the Snatch download daemon

usage: snatchd [--home DIR] [--config FILE] [--KEY=VALUE …]
       snatchd --check [--json]

  --home DIR      keep configuration, state, cache, socket, watch folder and downloads under DIR (SNATCH_HOME)
  --config FILE   read this configuration instead of the default one
  --check         examine configuration and machine, print what was found, and exit
  --json          with --check: as JSON
  --version       print the version
  --help          print this

Every key of the configuration is a flag: --max-concurrent-downloads=5, --log.level=debug.
SIGTERM and SIGINT end it, SIGHUP reads the configuration again.
`;

/** How long the process may live on once everything has ended, in milliseconds. */
const LINGER_MS = 1000;

/** The program's own options; everything else is a key of the configuration. */
interface Arguments {
  readonly home?: string;
  readonly config?: string;
  readonly check: boolean;
  readonly json: boolean;
  readonly version: boolean;
  readonly help: boolean;
  readonly rest: readonly string[];
}

/**
 * Runs the program.
 * @param started - told when the daemon is ready
 * @returns the exit code
 */
export async function run(argv: readonly string[], env: Environment, started: () => void): Promise<number> {
  try {
    const parsed = parseArguments(argv);
    if (parsed.help) return print(USAGE);
    if (parsed.version) return print(`${VERSION}\n`);
    const options: LoadOptions = { home: parsed.home, env, argv: parsed.rest };
    return parsed.check ? await check(parsed, options) : await serve(parsed.config, options, started);
  } catch (error) {
    const { code, message, entry } = asDownloadError(error);
    process.stderr.write(`snatchd: ${code}: ${message}\n${entry.hint ? `  ${entry.hint}\n` : ""}`);
    if (code === "INTERNAL" && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    return entry.exit;
  }
}

async function serve(configFile: string | undefined, options: LoadOptions, started: () => void): Promise<number> {
  const load = () => loadConfigWithOrigins(configFile, options);
  const daemon = new Daemon({ load, loaded: await load(), options });
  // A second signal changes nothing: a shell and npm may both pass on one Ctrl-C.
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => daemon.shutdown(signal));
  process.on("SIGHUP", () => void daemon.reload().catch(() => undefined));
  try {
    await daemon.start();
    started();
    await daemon.shutdownRequested;
  } catch (error) {
    // A start that was called off has not failed.
    if (!daemon.ending) {
      process.exitCode = asDownloadError(error).entry.exit;
      throw error;
    }
  } finally {
    await daemon[Symbol.asyncDispose]();
    setTimeout(leave, LINGER_MS).unref();
  }
  return EXIT.ok;
}

/** Something that nobody waits for keeps the process alive: neither a daemon nor gone, it would be in the way. */
function leave(): void {
  process.stderr.write(`snatchd: something was still open ${LINGER_MS} ms after the end\n`);
  process.exit();
}

/** `--check`: works with a broken configuration, and beside a running daemon. */
async function check({ config, json }: Arguments, options: LoadOptions): Promise<number> {
  const report = await initializeConfig({ ...options, path: config, checks: roomChecks });
  const failed = report.config === undefined || report.checks.some(({ status }) => status === "failed");
  if (json) {
    const problems = report.problems.map(({ key, message, severity }) => ({ key, message, severity }));
    const checks = report.checks.map(({ id, ...rest }) => ({ check_id: id, ...rest }));
    print(`${JSON.stringify({ config_file: report.file, config_problems: problems, checks })}\n`);
  } else {
    for (const { status, title, message, fix } of report.checks)
      print(`${status.padEnd(8)} ${title}: ${message}\n${fix ? `${" ".repeat(9)}${fix}\n` : ""}`);
  }
  return failed ? EXIT.config : EXIT.ok;
}

function parseArguments(argv: readonly string[]): Arguments {
  const found = { check: false, json: false, version: false, help: false };
  const named: { home?: string; config?: string } = {};
  const rest: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] ?? "";
    const [, flag, inline] = /^--(home|config)(?:=(.*))?$/s.exec(argument) ?? [];
    const word = /^--(check|json|version|help)$/.exec(argument)?.[1] ?? (argument === "-h" ? "help" : undefined);
    if (flag === "home" || flag === "config") {
      const value = inline ?? argv[++at];
      if (value === undefined) rest.push(argument);
      else named[flag] = value;
    } else if (word) found[word as keyof typeof found] = true;
    else rest.push(argument);
  }
  return { ...found, ...named, rest };
}

function print(text: string): number {
  process.stdout.write(text);
  return EXIT.ok;
}
