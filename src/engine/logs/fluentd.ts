/**
 * Messages for fluentd, one MessagePack array each: [tag, time, record, options].
 * Sources: Fluent's "Forward Protocol v1" (message mode), the MessagePack specification; the fields are those of Docker's driver.
 */
import { randomBytes } from "node:crypto";
import { parseRfc3339 } from "../../base/time.ts";
import type { FluentdOptions, LoggedContainer } from "../config/log.ts";
import type { LogEntry } from "./log-entry.ts";
import type { LogSink } from "./sink.ts";
import { type StreamFrame, StreamSink } from "./stream-sink.ts";

interface FluentdMark {
  container: LoggedContainer;
  tag: string;
  attributes: Readonly<Record<string, string>>;
}

const CHUNK_ID_BYTES = 16;
const SECOND_IN_NS = 1_000_000_000n;

function packString(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length < 32) return Buffer.concat([Buffer.from([0xa0 | bytes.length]), bytes]);
  const head = Buffer.alloc(5);
  head[0] = 0xdb; // str 32
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

function packMap(fields: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(fields);
  const head = Buffer.alloc(3);
  head[0] = 0xde; // map 16
  head.writeUInt16BE(entries.length, 1);
  return Buffer.concat([head, ...entries.flatMap((pair) => pair.map(packString))]);
}

/** Seconds as an integer, or with nanoseconds in the protocol's own EventTime, which is extension 0. */
function packTime(ns: bigint, isPrecise: boolean): Buffer {
  const seconds = Number(ns / SECOND_IN_NS);
  const packed = Buffer.alloc(isPrecise ? 10 : 5);
  packed[0] = isPrecise ? 0xd7 : 0xce; // fixext 8, uint 32
  packed.writeUInt32BE(seconds, isPrecise ? 2 : 1);
  if (isPrecise) packed.writeUInt32BE(Number(ns % SECOND_IN_NS), 6);
  return packed;
}

/** Encodes an entry. `chunk`: an id that the server is to acknowledge. */
export function encodeFluentd(options: FluentdOptions, mark: FluentdMark, entry: LogEntry, chunk?: string): Buffer {
  const { container, tag, attributes } = mark;
  const isPartial = !entry.log.endsWith("\n");
  const record = {
    ...attributes,
    container_id: container.id,
    container_name: `/${container.name}`,
    source: entry.stream,
    log: isPartial ? entry.log : entry.log.slice(0, -1),
    ...(isPartial ? { partial_message: "true" } : {}),
  };
  return Buffer.concat([
    Buffer.from([0x94]), // an array of four
    packString(tag),
    packTime(parseRfc3339(entry.time) ?? 0n, options.isPrecise),
    packMap(record),
    packMap(chunk === undefined ? {} : { chunk }),
  ]);
}

export function openFluentd(options: FluentdOptions, mark: FluentdMark): LogSink {
  const encode = (entry: LogEntry): StreamFrame => {
    if (!options.isAcknowledged) return { bytes: encodeFluentd(options, mark, entry) };
    const chunk = randomBytes(CHUNK_ID_BYTES).toString("base64");
    // The answer is the map {"ack": chunk}: the id is random, so its text can be nothing else.
    return { bytes: encodeFluentd(options, mark, entry, chunk), isTaken: (answer) => answer.includes(chunk) };
  };
  return new StreamSink(options.address, encode, options.writeTimeoutMs || undefined);
}
