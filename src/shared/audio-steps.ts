/** Steps of audio processing, as people write them: `--audio normalize,denoise` and `audio=` in a list. */

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/**
 * Reads names that are separated by commas; "none" is no step at all, whatever is configured.
 *
 * @throws TypeError that says what is wrong, for people
 */
export function audioSteps(text: string): readonly string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.length === 1 && names[0] === "none") return [];
  for (const name of names)
    if (!NAME.test(name)) throw new TypeError(`"${name}" is no name of a step; write normalize,denoise or none`);
  return names;
}
