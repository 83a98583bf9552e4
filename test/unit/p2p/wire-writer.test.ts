/** How frames leave: those of one turn together, in their order, long ones at once. */
import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { FrameWriter } from "../../../src/daemon/p2p/channel/wire.ts";
import { FRAME } from "../../../src/daemon/p2p/types.ts";

/** A stream that counts the calls by which it was written to. */
class Counted extends Duplex {
  readonly calls: Buffer[] = [];

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.calls.push(Buffer.from(bytes));
    done();
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: () => void): void {
    this.calls.push(Buffer.concat(chunks.map(({ chunk }) => chunk)));
    done();
  }
}

const ids = (bytes: Buffer): number[] =>
  Array.from({ length: bytes.length / 9 }, (_, at) => bytes.readUInt8(9 * at + 8));
const id = (number: number): Buffer => Buffer.from([0, 0, 0, number]);

test("short frames of one turn leave in one piece, in their order", async () => {
  const stream = new Counted();
  const writer = new FrameWriter(stream);
  for (const number of [1, 2, 3]) void writer.send(FRAME.end, [id(number)]);
  assert.equal(stream.calls.length, 0);
  await turn();
  assert.deepEqual(stream.calls.map(ids), [[1, 2, 3]]);
  void writer.send(FRAME.end, [id(4)]);
  await turn();
  assert.deepEqual(stream.calls.map(ids), [[1, 2, 3], [4]]);
});

test("a long frame waits for nothing, and overtakes nothing", async () => {
  const stream = new Counted();
  const writer = new FrameWriter(stream);
  void writer.send(FRAME.end, [id(1)]);
  void writer.send(FRAME.data, [id(2), Buffer.alloc(100_000, 7)]);
  assert.equal(Buffer.concat(stream.calls).length, 9 + 9 + 100_000);
  assert.deepEqual(ids(stream.calls[0] ?? Buffer.alloc(0)), [1]);
  void writer.send(FRAME.end, [id(2)]);
  await turn();
  assert.deepEqual(ids(stream.calls.at(-1) ?? Buffer.alloc(0)), [2]);
});

test("what was said last leaves before the end", async () => {
  const stream = new Counted();
  const writer = new FrameWriter(stream);
  void writer.send(FRAME.bye, [Buffer.from("{}")]);
  stream.end();
  assert.equal(Buffer.concat(stream.calls).length, 7);
});
