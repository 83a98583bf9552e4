/** The commands of the README that a newcomer copies. */

/** The block of shell after a line `<!-- newcomer:NAME -->`. @throws Error if there is none */
export function newcomerBlock(readme: string, name: string): string {
  const after = readme.split(`<!-- newcomer:${name} -->\n`)[1];
  const block = /^```\w*\n(.*?)^```/ms.exec(after ?? "")?.[1];
  if (block === undefined) throw new Error(`README.md has no block marked newcomer:${name}`);
  return block;
}
