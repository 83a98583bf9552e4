/**
 * The bundle of the program with its code already compiled. Node's own compile cache keeps only what is compiled while a
 * module loads; most of what a command runs (grpc-js, the messages) is compiled at its first call, which took a fifth of a
 * short command's time. So the build runs one command and keeps V8's code of everything that it used beside the bundle.
 * That code fits one version of Node, one machine and one set of V8's flags; V8 refuses what does not fit.
 *
 * Node's modules are not imported here: that evaluates all of their exports, which takes 3 ms more.
 */
import type { Script } from "node:vm";

/** What the bundle exports. */
type Program = typeof import("./program.ts");

/** Where the compiled code of a bundle is, for the Node that runs. */
export function codeFile(bundle: string): string {
  return `${bundle}.${process.version}-${process.platform}-${process.arch}`;
}

/** The bundle as a script. @param code - what `createCachedData()` of an earlier one gave */
export function readScript(bundle: string, code?: Buffer): Script {
  // The bundle is ASCII: this is the reading that copies least.
  const text = process.getBuiltinModule("node:fs").readFileSync(bundle, "latin1");
  const source = process.getBuiltinModule("node:module").wrap(text);
  const vm = process.getBuiltinModule("node:vm");
  return new vm.Script(source, { filename: bundle, ...(code !== undefined && { cachedData: code }) });
}

/** Runs it as a CommonJS module. @param bundle - its absolute path */
export function runScript(script: Script, bundle: string): Program {
  const module = { exports: {} };
  const require = process.getBuiltinModule("node:module").createRequire(bundle);
  const folder = process.getBuiltinModule("node:path").dirname(bundle);
  script.runInThisContext()(module.exports, require, module, bundle, folder);
  return module.exports as Program;
}

/** Loads the bundle, compiled if there is code that fits; else as any module, by way of Node's compile cache. */
export function loadBundle(bundle: string): Program {
  const code = readIfThere(codeFile(bundle));
  const script = code && readScript(bundle, code);
  if (script && !script.cachedDataRejected) return runScript(script, bundle);
  const module = process.getBuiltinModule("node:module");
  module.enableCompileCache();
  return module.createRequire(bundle)(bundle) as Program;
}

function readIfThere(file: string): Buffer | undefined {
  try {
    return process.getBuiltinModule("node:fs").readFileSync(file);
  } catch {
    return undefined;
  }
}
