#!/usr/bin/env node
/** snatchd's launcher: says in one line when Node is too old, and starts the rest. */
import { forgetFrugalAllocator } from "../shared/allocator.ts";
import { loadFrugally } from "./os/heap.ts";

const major = Number(process.versions.node.split(".")[0]);
if (major < 24) {
  process.stderr.write(
    `snatchd needs Node.js 24 or newer, this is ${process.versions.node}: install a newer one, or run it by npx in its folder\n`,
  );
  process.exit(1);
}
forgetFrugalAllocator(process.env);
const loaded = loadFrugally();
const { run } = await import("./cli.ts");
process.exitCode = await run(process.argv.slice(2), process.env, loaded);
