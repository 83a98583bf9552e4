/** `snatchctl fetch`: what is shared by a code. The same as `get snatch:CODE`; the code may also come from standard input. */
import { EXIT } from "../../shared/errors.ts";
import { fail } from "../failure.ts";
import type { Globals } from "../globals.ts";
import type { OrderFlags } from "../order.ts";
import { hideArguments, readShareCode, shareLink } from "../share-link.ts";
import { get } from "./get.ts";

/** More than a code with all that may be around it. */
const LONGEST_LINE = 1000;

/** @returns as `get` does; 130 if the code was asked for and Ctrl-C was typed */
export async function fetch(flags: OrderFlags & Globals, word: string): Promise<number> {
  hideArguments("fetch");
  const typed = word === "-" ? await readLine() : word;
  if (typed === undefined) return EXIT.interrupted;
  return get(flags, [shareLink(readShareCode(typed))]);
}

/** The first line of standard input. @returns undefined after Ctrl-C */
async function readLine(): Promise<string | undefined> {
  const { stdin } = process;
  if (stdin.isTTY) return ask();
  let text = "";
  for await (const piece of stdin.setEncoding("utf8")) {
    text += piece as string;
    if (/\S.*\n/.test(text) || text.length > LONGEST_LINE) break;
  }
  stdin.destroy();
  const line = text.trimStart().split("\n")[0] ?? "";
  if (line === "") throw fail("CODE_INVALID", "there is no code on standard input");
  return line;
}

/** Asks at the terminal; what is typed is not shown. */
function ask(): Promise<string | undefined> {
  const { stdin, stderr } = process;
  // In this order: what is typed or pasted at the first sight of the question would be shown.
  stdin.setRawMode(true).setEncoding("utf8");
  stderr.write("Code (not shown): ");
  return new Promise((resolve) => {
    let text = "";
    const settle = (answer: string | undefined): void => {
      stdin.off("data", take).setRawMode(false).pause();
      stderr.write("\n");
      resolve(answer);
    };
    const take = (typed: string): void => {
      for (const character of typed) {
        const leaves = character === "\x03";
        if (leaves || "\r\n\x04".includes(character)) {
          settle(leaves ? undefined : text);
          return;
        }
        if (character === "\x7f" || character === "\b") text = text.slice(0, -1);
        else if (character === "\x15") text = "";
        else if (text.length < LONGEST_LINE) text += character;
      }
    };
    stdin.on("data", take).resume();
  });
}
