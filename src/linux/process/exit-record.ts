/** Reads the record that a supervisor leaves when its process has ended. */
import { text } from "../../base/bytes.ts";
import { LighterError } from "../../base/errors.ts";
import { EXIT_HEADER_BYTES, EXIT_MAGIC, EXIT_MAX_CAPTURE_BYTES, EXIT_VERSION } from "../program/format.ts";

/** What a supervisor writes when its process has ended (program/format.ts draws it). */
export interface RawExitRecord {
  /** The process's code, or 128 + the signal that ended it. */
  exitCode: number;
  /** 0 if the process ended by itself. */
  signal: number;
  /** The real time, in nanoseconds since 1970. */
  startedAtNs: bigint;
  finishedAtNs: bigint;
  /** The text of the captured files, one after the other. */
  captured: string;
}

/** Parses an exit record. @throws LighterError ("invalid") for anything that is not a whole record. */
export function parseExitRecord(bytes: Uint8Array): RawExitRecord {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < EXIT_HEADER_BYTES || view.getUint32(0, true) !== EXIT_MAGIC)
    throw new LighterError("invalid", `exit record of ${bytes.length} bytes is not one`);
  const version = view.getUint32(4, true);
  if (version !== EXIT_VERSION) throw new LighterError("invalid", `exit record has version ${version}`);
  const status = view.getInt32(8, true);
  const captured = view.getUint32(12, true);
  if (captured > EXIT_MAX_CAPTURE_BYTES || bytes.length !== EXIT_HEADER_BYTES + captured)
    throw new LighterError("invalid", `exit record has ${bytes.length} bytes for ${captured} captured ones`);
  const signal = status & 0x7f;
  return {
    exitCode: signal === 0 ? (status >> 8) & 0xff : 128 + signal,
    signal,
    startedAtNs: view.getBigUint64(16, true),
    finishedAtNs: view.getBigUint64(24, true),
    captured: text(bytes.subarray(EXIT_HEADER_BYTES)),
  };
}
