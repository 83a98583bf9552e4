/** Is what was fetched what was served? Quick, because it is done after every run, and outside what is timed. */
import { runProgram } from "../test/support/run-program.ts";

/** @throws Error unless both files have the same bytes */
export async function sameFile(served: string, fetched: string): Promise<void> {
  await expectSilence("cmp", [served, fetched]);
}

/** @throws Error unless both folders have the same files with the same bytes */
export async function sameFolder(served: string, fetched: string): Promise<void> {
  await expectSilence("diff", ["-rq", served, fetched]);
}

/** @throws Error unless the folder has so many files, each of them so large */
export async function filesOfSize(folder: string, count: number, size: number): Promise<void> {
  const { stdout, code } = await runProgram("find", [folder, "-type", "f", "-printf", "%s\n"]);
  const sizes = stdout.split("\n").slice(0, -1);
  const right = sizes.filter((each) => each === String(size)).length;
  if (code !== 0 || right !== count || sizes.length !== count)
    throw new Error(`${right} of ${count} files are there and right, among ${sizes.length}`);
}

async function expectSilence(program: string, args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await runProgram(program, args);
  if (code !== 0) throw new Error(`not what was served: ${(stdout + stderr).slice(0, 300)}`);
}
