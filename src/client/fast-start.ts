/**
 * The bundle of the program with its code already compiled. Node's own compile cache keeps only what is compiled while a
 * module loads; most of what a command runs (grpc-js, the messages) is compiled at its first call, which took a fifth of a
 * short command's time. So the build runs one command and keeps V8's code of everything that it used beside the bundle.
 * That code fits one version of Node, one machine and one set of V8's flags; V8 refuses what does not fit.
 */
import { readFileSync } from "node:fs";
import module from "node:module";
import { dirname } from "node:path";
import { Script } from "node:vm";

/** What the bundle exports. */
export type Program = typeof import("./program.ts");

/** Where the compiled code of a bundle is, for the Node that runs. */
export function codeFile(bundle: string): string {
  return `${bundle}.${process.version}-${process.platform}-${process.arch}`;
}

/** The bundle as a script. @param code - what `createCachedData()` of an earlier one gave */
export function readScript(bundle: string, code?: Buffer): Script {
  // The bundle is ASCII: this is the reading that copies least.
  const source = module.wrap(readFileSync(bundle, "latin1"));
  return new Script(source, { filename: bundle, ...(code !== undefined && { cachedData: code }) });
}

/** Runs it as a CommonJS module. */
export function runScript(script: Script, bundle: string): Program {
  const own = { exports: {} };
  script.runInThisContext()(own.exports, module.createRequire(bundle), own, bundle, dirname(bundle));
  return own.exports as Program;
}

/** Loads the bundle, compiled if there is code that fits; else as any module, by way of Node's compile cache. */
export function loadBundle(bundle: string): Program {
  const code = readIfThere(codeFile(bundle));
  const script = code && readScript(bundle, code);
  if (script && !script.cachedDataRejected) return runScript(script, bundle);
  module.enableCompileCache();
  return module.createRequire(bundle)(bundle) as Program;
}

function readIfThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}
