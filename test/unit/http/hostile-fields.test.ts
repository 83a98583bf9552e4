/** Fields that are long and almost right: what is read from them is read in one go, without looking back again and again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { dispositionName } from "../../../src/daemon/http/content-disposition.ts";
import { originDigests } from "../../../src/daemon/http/digest-fields.ts";
import { descriptionLink, duplicateLinks } from "../../../src/daemon/http/link-field.ts";
import { readHead } from "../../../src/daemon/http/wire-head.ts";

/** Bytes of a header section at most. */
const LENGTH = 60_000;

/** Far more than a line through the field takes, far less than a square. */
const MOST_MS = 500;

const FILLS = [" ", "\t", ",", " ,", ";", "; a", '"', "\\", "=", ":", "<a>;", "%2"];

const READERS: Readonly<Record<string, (value: string) => unknown>> = {
  "Repr-Digest": (value) => originDigests(new Map([["repr-digest", value]]), true),
  Digest: (value) => originDigests(new Map([["digest", value]]), true),
  "Content-Disposition": dispositionName,
  Link: (value) => [duplicateLinks(value, "http://a.test/"), descriptionLink(value, "http://a.test/")],
  Connection: (value) => readHead(Buffer.from(`HTTP/1.1 200 OK\r\nConnection: ${value}\r\nContent-Length: 0\r\n\r\n`)),
};

for (const [name, read] of Object.entries(READERS))
  test(`${name} of ${LENGTH} bytes`, () => {
    for (const fill of FILLS) {
      const value = `a=${fill.repeat(LENGTH / fill.length)}b`;
      const begun = performance.now();
      read(value);
      const took = performance.now() - begun;
      assert.ok(took < MOST_MS, `${JSON.stringify(fill)} took ${took} ms`);
    }
  });
