/** Languages as containers want them: playlists say "en", files say "eng" (ISO 639-2, terminological codes). */

/** Two letters, and the three for them. */
const CODES = `
afafr amamh arara azaze bebel bgbul bnben bsbos cacat csces cycym dadan dedeu elell eneng eoepo esspa etest
eueus fafas fifin fofao frfra gagle glglg guguj heheb hihin hrhrv huhun hyhye idind isisl itita jajpn kakat
kkkaz kmkhm knkan kokor kukur kykir lalat lbltz lolao ltlit lvlav mgmlg mimri mkmkd mlmal mnmon mrmar msmsa
mtmlt mymya nbnob nenep nlnld nnnno nonor papan plpol pspus ptpor quque rmroh roron rurus rwkin sdsnd sisin
skslk slslv sosom sqsqi srsrp svswe swswa tatam tetel tgtgk ththa tktuk tltgl trtur tttat ukukr ururd uzuzb
vivie xhxho yiyid yoyor zhzho zuzul
`;

const THREE = new Map(
  CODES.trim()
    .split(/\s+/)
    .map((pair) => [pair.slice(0, 2), pair.slice(2)]),
);

/** The three letters of a BCP 47 tag's language; undefined if it has none that is known. */
export function threeLetters(tag: string | undefined): string | undefined {
  const primary = tag?.split("-", 1)[0]?.toLowerCase() ?? "";
  if (/^[a-z]{3}$/.test(primary)) return primary === "und" ? undefined : primary;
  return THREE.get(primary);
}
