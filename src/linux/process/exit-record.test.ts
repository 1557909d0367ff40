import { expect, test } from "bun:test";
import { Random, rounds } from "../../../tests/support/random.ts";
import { LighterError } from "../../base/errors.ts";
import { EXIT_HEADER_BYTES, EXIT_MAGIC, EXIT_MAX_CAPTURE_BYTES, EXIT_VERSION } from "../program/format.ts";
import { parseExitRecord } from "./exit-record.ts";

function record(status: number, captured = "", change: (view: DataView) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(EXIT_HEADER_BYTES + captured.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, EXIT_MAGIC, true);
  view.setUint32(4, EXIT_VERSION, true);
  view.setInt32(8, status, true);
  view.setUint32(12, captured.length, true);
  view.setBigUint64(16, 1_700_000_000_000_000_001n, true);
  view.setBigUint64(24, 1_700_000_001_000_000_002n, true);
  bytes.set(new TextEncoder().encode(captured), EXIT_HEADER_BYTES);
  change(view);
  return bytes;
}

test("a record tells how the process ended, when, and what was captured", () => {
  expect(parseExitRecord(record(42 << 8, "oom_kill 0\n"))).toEqual({
    exitCode: 42,
    signal: 0,
    startedAtNs: 1_700_000_000_000_000_001n,
    finishedAtNs: 1_700_000_001_000_000_002n,
    captured: "oom_kill 0\n",
  });
});

test("every exit code and every signal, with a core dump and without, is told as a shell would", () => {
  for (let code = 0; code < 256; code++)
    expect(parseExitRecord(record(code << 8))).toMatchObject({ exitCode: code, signal: 0 });
  for (let signal = 1; signal < 65; signal++)
    for (const core of [0, 0x80])
      expect(parseExitRecord(record(signal | core))).toMatchObject({ exitCode: 128 + signal, signal });
});

test("a record of another version, of other bytes, or of another length is refused", () => {
  const invalid = expect.objectContaining({ code: "invalid" });
  expect(() => parseExitRecord(new Uint8Array(0))).toThrow(invalid);
  expect(() => parseExitRecord(record(0).subarray(0, -1))).toThrow(invalid);
  expect(() => parseExitRecord(record(0, "abc").subarray(0, -1))).toThrow(invalid);
  expect(() => parseExitRecord(record(0, "", (view) => view.setUint32(0, 1, true)))).toThrow(invalid);
  expect(() => parseExitRecord(record(0, "", (view) => view.setUint32(4, 2, true)))).toThrow(/version 2/);
  expect(() => parseExitRecord(record(0, "", (view) => view.setUint32(12, 1, true)))).toThrow(invalid);
  expect(() => parseExitRecord(record(0, "x".repeat(EXIT_MAX_CAPTURE_BYTES + 1)))).toThrow(invalid);
  expect(parseExitRecord(record(0, "x".repeat(EXIT_MAX_CAPTURE_BYTES))).captured.length).toBe(EXIT_MAX_CAPTURE_BYTES);
});

test("any bytes give a record or a typed error", () => {
  const random = Random.fromEnvironment("parseExitRecord");
  let accepted = 0;
  for (let round = 0; round < rounds(5000); round++) {
    const bytes = record(random.u32() | 0, "abc".repeat(random.below(4)));
    for (let i = random.below(4); i > 0; i--) bytes[random.below(bytes.length)] = random.below(256);
    try {
      parseExitRecord(bytes.subarray(0, random.below(4) === 0 ? random.below(bytes.length) : bytes.length));
      accepted++;
    } catch (error) {
      if (!(error instanceof LighterError) || error.code !== "invalid") throw error;
    }
  }
  expect(accepted).toBeGreaterThan(0);
});

test("a record that lies at an odd place in a larger buffer is read from there", () => {
  const bytes = record(7 << 8);
  const larger = new Uint8Array(bytes.length + 3);
  larger.set(bytes, 3);
  expect(parseExitRecord(larger.subarray(3)).exitCode).toBe(7);
});
