/**
 * The same work for several programs, in turns and in another order each round, so that they meet the same machine. The
 * daemon runs and is warm, as it is in daily life; a run lasts from the start of `snatchctl get` to its exit, and costs what
 * snatchctl and the daemon use together.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { runProgram } from "../test/support/run-program.ts";
import type { Contestant } from "./contestants.ts";
import { measure, type Sample } from "./measure.ts";
import type { Place, Snatch } from "./places.ts";
import { settings } from "./settings.ts";
import { Standings } from "./standings.ts";
import { stop } from "./stop.ts";

/** What is to be fetched. */
export interface Work<Program = Contestant> {
  command(program: Program, folder: string): Promise<readonly string[]> | readonly string[];
  /** @throws Error if what is in the folder is not right */
  check(folder: string): Promise<void>;
}

/** A contest. */
export interface Contest<Program extends Pick<Contestant, "name"> = Contestant> {
  readonly title: string;
  readonly place: Place;
  readonly snatch: Snatch;
  /** Snatch first. */
  readonly programs: readonly Program[];
  readonly work: Work<Program>;
  /** What warms each program, and is not counted; default: the work itself. */
  readonly warmUp?: Work<Program>;
  readonly files: "few" | "many";
}

/** Holds it. A program that fails is named, with what it said, and takes part no longer. */
export async function compete<Program extends Pick<Contestant, "name">>(contest: Contest<Program>): Promise<Standings> {
  const { title, place, programs, work, warmUp = work } = contest;
  const standings = new Standings(
    title,
    programs.map(({ name }) => name),
  );
  const folder = await place.folder("contest");
  const turn = async (program: Program, round: number): Promise<void> => {
    const { name } = program;
    stop.signal.throwIfAborted();
    if (standings.hasFailed(name) || round > settings.rounds) return;
    const out = join(folder, `${name}-${round}`);
    try {
      const sample = await runOnce(contest, program, round === 0 ? warmUp : work, out);
      if (round > 0) standings.add(name, sample);
    } catch (error) {
      standings.fail(name, error instanceof Error ? error.message : String(error));
    }
    await place.drop(out, contest);
  };
  for (const program of programs) await turn(program, 0);
  const started = performance.now();
  for (let round = 1; round <= settings.rounds; round++) {
    const seconds = (performance.now() - started) / 1000;
    if (round > 1 && (seconds / (round - 1)) * round > settings.budgetSeconds) {
      standings.shortened = `${round - 1} of ${settings.rounds} rounds: one more would take longer than ${settings.budgetSeconds} s`;
      break;
    }
    // Forwards and backwards, so that nobody always follows the same one: memory that a virtual machine has just had back is
    // cheaper than what its host has taken away since.
    const order = round % 2 === 1 ? programs : programs.toReversed();
    const first = Math.floor((round - 1) / 2);
    for (let at = 0; at < order.length; at++) await turn(order[(at + first) % order.length] as Program, round);
  }
  await place.drop(folder, contest);
  return standings;
}

async function runOnce<Program extends Pick<Contestant, "name">>(
  { place, snatch }: Contest<Program>,
  program: Program,
  work: Work<Program>,
  folder: string,
): Promise<Sample> {
  await mkdir(folder);
  const command = await work.command(program, folder);
  // What earlier runs wrote is not to be paid for by this one.
  await runProgram("sync", ["-f", folder]);
  const sample = await measure(command, {
    env: snatch.home.env,
    scratch: place.path,
    ...(program.name === "snatch" && { daemon: snatch.daemon.pid }),
  });
  await work.check(folder);
  return sample;
}
