/**
 * What the ear makes of a spectrum: critical bands, how they mask each other, and how loud each is heard. A simplification in
 * the manner of ISO 532-1, for long-term spectra: one excitation pattern in steps of one Bark, no temporal effects.
 *
 * Sources: band limits: E. Zwicker, "Subdivision of the Audible Frequency Range into Critical Bands", JASA 33 (1961); scale: H.
 * Traunmüller, "Analytical Expressions for the Tonotopic Sensory Scale", JASA 88 (1990); spreading: M. R. Schroeder, B. S.
 * Atal, J. L. Hall, "Optimizing Digital Speech Coders by Exploiting Masking Properties of the Human Ear", JASA 66 (1979);
 * threshold in quiet: E. Terhardt, "Calculating Virtual Pitch", Hearing Research 1 (1979); specific loudness: E. Zwicker, H.
 * Fastl, "Psychoacoustics", chapter 8.
 */

/** Limits of the critical bands in Hz. */
export const BARK_LIMITS: readonly number[] = [
  0, 100, 200, 300, 400, 510, 630, 770, 920, 1080, 1270, 1480, 1720, 2000, 2320, 2700, 3150, 3700, 4400, 5300, 6400,
  7700, 9500, 12_000, 15_500,
];
/** How many there are. */
export const BARK_BANDS: number = BARK_LIMITS.length - 1;

/** Middle of a critical band in Hz. */
export function barkCentre(band: number): number {
  return ((BARK_LIMITS[band] ?? 0) + (BARK_LIMITS[band + 1] ?? 0)) / 2;
}

/** Bark of a frequency in Hz (Traunmüller, with his corrections at both ends). */
export function barkOf(hertz: number): number {
  const z = (26.81 * hertz) / (1960 + hertz) - 0.53;
  if (z < 2) return z + 0.15 * (2 - z);
  return z > 20.1 ? z + 0.22 * (z - 20.1) : z;
}

/** dB by which a band excites another that is `distance` Bark above it (Schroeder et al.); 0 at its own place. */
export function spreading(distance: number): number {
  const x = distance + 0.474;
  return 15.81 + 7.5 * x - 17.5 * Math.sqrt(1 + x * x);
}

/** dB SPL of a tone that is just heard in silence (Terhardt). */
export function thresholdInQuiet(hertz: number): number {
  const kilohertz = hertz / 1000;
  return 3.64 * kilohertz ** -0.8 - 6.5 * Math.exp(-0.6 * (kilohertz - 3.3) ** 2) + 0.001 * kilohertz ** 4;
}

/** dB SPL of a sine at full scale, by the convention of ISO/IEC 11172-3, annex D (96 dB). */
const FULL_SCALE_SPL = 96;

/** A band as it is heard. */
export interface HeardBand {
  /** Hz. */
  readonly centre: number;
  /** dB SPL, of the sound that is in it. */
  readonly level: number;
  /** dB SPL below which something in it is not heard beside what is in the others; its own level has no part in it. */
  readonly masked: number;
  /** Specific loudness in sone/Bark. */
  readonly loudness: number;
}

/** A spectrum as it is heard. @param powers - of each critical band, a sine at full scale is 1 */
export function hear(powers: readonly number[]): HeardBand[] {
  const centres = powers.map((_, band) => barkCentre(band));
  return centres.map((centre, band) => {
    let others = 0;
    let excitation = 0;
    for (const [from, power] of powers.entries()) {
      const excited = power * 10 ** (spreading(barkOf(centre) - barkOf(centres[from] ?? 0)) / 10);
      excitation += excited;
      if (from !== band) others += excited;
    }
    const quiet = thresholdInQuiet(centre);
    const level = spl(powers[band] ?? 0);
    // Noise masks tones at about 5.5 dB below its own excitation, whatever the band (ISO/IEC 11172-3, annex D).
    const masked = Math.max(spl(others) - NOISE_OFFSET, quiet);
    return { centre, level, masked, loudness: specificLoudness(spl(excitation), quiet) };
  });
}

const NOISE_OFFSET = 5.5;

/** Total loudness in sone. */
export function loudnessInSone(bands: readonly HeardBand[]): number {
  return bands.reduce((sum, { loudness }) => sum + loudness, 0);
}

/** Zwicker's formula, with the threshold in quiet as what has no loudness. Both in dB SPL. */
function specificLoudness(excitation: number, quiet: number): number {
  const threshold = 10 ** (quiet / 10);
  const value = 0.08 * threshold ** 0.23 * ((0.5 + 0.5 * 10 ** ((excitation - quiet) / 10)) ** 0.23 - 1);
  return Math.max(0, value);
}

function spl(power: number): number {
  return FULL_SCALE_SPL + 10 * Math.log10(Math.max(power, 1e-20));
}
