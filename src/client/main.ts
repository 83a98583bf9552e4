#!/usr/bin/env node
/**
 * The launcher of snatchctl. It is all that an old Node ever parses, so it keeps to syntax and imports that any Node
 * with ES modules knows; everything else comes after the version check.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadBundle } from "./fast-start.ts";

const NEEDED = 24;

if (Number.parseInt(process.versions.node, 10) < NEEDED) {
  process.stderr.write(
    `snatchctl: Node.js ${NEEDED} or newer is needed, and this is ${process.versions.node} (${process.execPath})\n`,
  );
  process.exit(1);
} else {
  // Beside the built launcher there is a bundle, beside the sources there is none.
  const bundle = fileURLToPath(new URL("client/program.cjs", import.meta.url));
  if (existsSync(bundle)) void loadBundle(bundle).main(process.argv);
  else void import("./program.ts").then((program) => program.main(process.argv));
}
