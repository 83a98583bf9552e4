import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { formatBytes, formatDuration, formatRate, parseBytes, parseDuration } from "../../../src/shared/format.ts";

describe("bytes", () => {
  for (const [text, bytes] of [
    ["8388608", 8_388_608],
    ["8M", 8_388_608],
    ["8 MiB", 8_388_608],
    ["8m", 8_388_608],
    ["1.5GiB", 1_610_612_736],
    ["500 kB", 500_000],
    ["2MB/s", 2_000_000],
    ["12b", 12],
    ["1T", 1_099_511_627_776],
    ["0", 0],
    ["unlimited", 0],
    ["Off", 0],
  ] as const) {
    test(`${text} is ${bytes}`, () => assert.equal(parseBytes(text), bytes));
  }

  for (const text of ["", " ", "-1", "M", "1.M", "8MM", "8 M B", "0x10", "1e9", "8Mib/h", "9999999P", "∞"])
    test(`${JSON.stringify(text)} is refused, by name`, () => {
      assert.throws(
        () => parseBytes(text),
        (error) => error instanceof TypeError && error.message.startsWith(`"${text}"`),
      );
    });

  for (const [bytes, text] of [
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.00 KiB"],
    [1536, "1.50 KiB"],
    [10 * 1024, "10.0 KiB"],
    [1023.9 * 1024, "1.00 MiB"],
    [8_388_608, "8.00 MiB"],
    [2 ** 60, "1024 PiB"],
  ] as const) {
    test(`${bytes} reads ${text}`, () => assert.equal(formatBytes(bytes), text));
  }

  test("a rate has its unit", () => assert.equal(formatRate(12.5 * 1024 * 1024), "12.5 MiB/s"));

  test("what is printed is read back, within its three digits", () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 50 }), (bytes) => {
        assert.ok(Math.abs(parseBytes(formatBytes(bytes)) - bytes) <= bytes * 0.006 + 1);
        assert.ok(Math.abs(parseBytes(formatRate(bytes)) - bytes) <= bytes * 0.006 + 1);
      }),
    );
  });

  test("any text is a whole number of bytes, or a TypeError", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9.]{0,20} ?[kMGTP]?i?B?$/)), (text) => {
        try {
          const bytes = parseBytes(text);
          assert.ok(Number.isSafeInteger(bytes) && bytes >= 0);
        } catch (error) {
          assert.ok(error instanceof TypeError);
        }
      }),
    );
  });
});

describe("durations", () => {
  for (const [text, seconds] of [
    ["30", 30],
    ["1.5s", 1.5],
    ["500ms", 0.5],
    ["10m", 600],
    ["10 min", 600],
    ["2H", 7200],
    ["7d", 604_800],
  ] as const) {
    test(`${text} is ${seconds} s`, () => assert.equal(parseDuration(text), seconds));
  }

  for (const text of ["", "s", "-1s", "1w", "1h30m", "soon"])
    test(`${JSON.stringify(text)} is refused`, () => assert.throws(() => parseDuration(text), TypeError));

  for (const [milliseconds, text] of [
    [-5, "0 s"],
    [499, "0 s"],
    [45_000, "45 s"],
    [59_600, "1 min"],
    [200_000, "3 min 20 s"],
    [7_500_000, "2 h 5 min"],
    [86_400_000, "1 d"],
    [356_400_000, "4 d 3 h"],
  ] as const) {
    test(`${milliseconds} ms reads ${text}`, () => assert.equal(formatDuration(milliseconds), text));
  }
});
