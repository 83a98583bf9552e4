#!/usr/bin/env node
/**
 * The launcher of snatchctl. It is all that an old Node ever parses, so it keeps to syntax and imports that any Node
 * with ES modules knows; everything else comes after the version check.
 */
import { loadBundle } from "./fast-start.ts";

const NEEDED = 24;

if (Number.parseInt(process.versions.node, 10) < NEEDED) {
  process.stderr.write(
    `snatchctl: Node.js ${NEEDED} or newer is needed, and this is ${process.versions.node} (${process.execPath})\n`,
  );
  process.exit(1);
} else if (import.meta.filename.endsWith(".ts")) {
  void import("./program.ts").then((program) => program.main(process.argv));
} else {
  void loadBundle(`${import.meta.dirname}/client/program.cjs`).main(process.argv);
}
