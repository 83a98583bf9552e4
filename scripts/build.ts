/**
 * Builds dist/: the command line as one fast-starting bundle, the daemon and the library with their packages external,
 * and the library's types. Both programs begin with a launcher that any Node can parse.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, rmSync } from "node:fs";
import { build } from "esbuild";

const require = "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);";
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
  // Splitting keeps what comes after enableCompileCache() a separate, cached chunk.
  build({
    ...common,
    entryPoints: { snatchctl: "src/client/main.ts" },
    splitting: true,
    minify: true,
    chunkNames: "client/[name]-[hash]",
    banner: { js: require },
  }),
  build({
    ...common,
    entryPoints: { snatchd: "src/daemon/main.ts", ...(existsSync("src/index.ts") && { index: "src/index.ts" }) },
    splitting: true,
    packages: "external",
    chunkNames: "daemon/[name]-[hash]",
  }),
]);
for (const program of ["dist/snatchctl.js", "dist/snatchd.js"]) chmodSync(program, 0o755);

const types = spawnSync("tsc", ["-p", "tsconfig.build.json"], { stdio: "inherit" });
process.exitCode = types.status ?? 1;
