/**
 * Builds dist/: the command line as one bundle that is compiled ahead, the daemon and the library with their packages external,
 * and the library's types. Both programs begin with a launcher that any Node can parse.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, rmSync } from "node:fs";
import { build } from "esbuild";
import manifest from "../package.json" with { type: "json" };

const { dependencies, optionalDependencies } = manifest;

const common = {
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node24",
  legalComments: "linked",
  sourcemap: true,
  outdir: "dist",
} as const;

rmSync("dist", { recursive: true, force: true });
await Promise.all([
  build({ ...common, entryPoints: { snatchctl: "src/client/main.ts" }, external: ["./program.ts"], minify: true }),
  // In one piece and in CommonJS, as what is compiled ahead has to be.
  build({
    ...common,
    entryPoints: { "client/program": "src/client/program.ts" },
    format: "cjs",
    outExtension: { ".js": ".cjs" },
    minify: true,
    // grpc-js needs it for .proto files, of which there are none here.
    external: ["@grpc/proto-loader"],
    supported: { "dynamic-import": false },
    define: { "import.meta.url": "__url", "import.meta.dirname": "__dirname" },
    banner: { js: "const __url=require('node:url').pathToFileURL(__filename).href;" },
  }),
  build({
    ...common,
    entryPoints: {
      snatchd: "src/daemon/main.ts",
      ...(existsSync("src/index.ts") && { index: "src/index.ts" }),
      "daemon/digest-worker": "src/daemon/download/digest-worker.ts",
      "daemon/hash-worker": "src/daemon/download/hash-worker.ts",
      "daemon/rnnoise-worker": "src/daemon/audio/rnnoise-worker.ts",
      "daemon/share-hash-worker": "src/daemon/p2p/share/share-hash-worker.ts",
    },
    splitting: true,
    // What V8 keeps of a program is its text, two bytes a character if one of them is not Latin: so no comments, no spaces.
    // The names stay as they are and the lines short, for the traces in a log.
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 160,
    // But for zod, of which only what is used is taken: whole, it is a tenth of an idle daemon's memory; and for those whose
    // text alone is megabytes of it.
    external: Object.keys({ ...dependencies, ...optionalDependencies }).filter(
      (name) => !["zod", "undici", "chokidar"].includes(name),
    ),
    // What a package in CommonJS asks of Node.
    banner: { js: "import{createRequire as __requireOf}from'node:module';const require=__requireOf(import.meta.url);" },
    chunkNames: "daemon/[name]-[hash]",
  }),
]);
for (const program of ["dist/snatchctl.js", "dist/snatchd.js"]) chmodSync(program, 0o755);
run(process.execPath, "scripts/compile-client.ts", "dist/client/program.cjs");
run("tsc", "-p", "tsconfig.build.json");

function run(command: string, ...args: readonly string[]): void {
  const { status, error } = spawnSync(command, args, { stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) console.error(`${[command, ...args].join(" ")}: ${error?.message ?? `exit ${status}`}`);
  process.exitCode ||= status ?? 1;
}
