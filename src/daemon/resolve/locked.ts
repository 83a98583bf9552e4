/** Names of what locks media (DRM), for people: by the UUIDs of https://dashif.org/identifiers/content_protection/ and by key formats of HLS. */

const SYSTEMS: ReadonlyMap<string, string> = new Map([
  ["edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", "Widevine"],
  ["com.widevine", "Widevine"],
  ["9a04f079-9840-4286-ab92-e65be0885f95", "PlayReady"],
  ["com.microsoft.playready", "PlayReady"],
  ["94ce86fb-07ff-4f43-adb8-93d2fa968ca2", "FairPlay"],
  ["com.apple.streamingkeydelivery", "FairPlay"],
  ["1077efec-c0b2-4d02-ace3-3c1e52e2fb4b", "Clear Key"],
  ["e2719d58-a985-b3c9-781a-b030af78d30e", "Clear Key"],
  ["org.w3.clearkey", "Clear Key"],
  ["f239e769-efa3-4850-9c16-a903c6932efb", "Adobe Primetime"],
  ["5e629af5-38da-4063-8977-97ffbd9902d4", "Marlin"],
  ["3d5e6d35-9b9a-41e8-b843-dd3c6e72c42c", "ChinaDRM"],
  ["6dd8b3c3-45f4-4a68-bf3a-64168d01a4a6", "ABV DRM"],
  ["80a6be7e-1448-4c37-9e70-d5aebe04c8d2", "Irdeto"],
]);

/** The name of a system. @param identifier - a `urn:uuid:`, or a KEYFORMAT */
export function lockName(identifier: string): string {
  const key = identifier
    .trim()
    .toLowerCase()
    .replace(/^urn:uuid:/, "");
  return SYSTEMS.get(key) ?? identifier.slice(0, 80);
}
