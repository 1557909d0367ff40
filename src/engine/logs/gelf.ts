/**
 * Messages for Graylog and all that reads its format: JSON, by UDP compressed and in pieces, by TCP each with a NUL at its end.
 * Sources: "GELF via UDP", "GELF via TCP" and the payload's specification, 1.1; the fields are those of Docker's driver.
 */
import { randomBytes } from "node:crypto";
import type { Socket as UdpSocket } from "node:dgram";
import { deflateSync, gzipSync } from "node:zlib";
import { LighterError } from "../../base/errors.ts";
import type { GelfOptions, LoggedContainer } from "../config/log.ts";
import type { LogEntry } from "./log-entry.ts";
import type { LogSink } from "./sink.ts";
import { StreamSink } from "./stream-sink.ts";
import { openUdp } from "./syslog.ts";

const LEVEL = { stdout: 6, stderr: 3 } as const;
const PIECE_BYTES = 1420;
const PIECE_HEAD_BYTES = 12;
const PIECES_MAX = 128;

interface GelfMark {
  container: LoggedContainer;
  tag: string;
  hostname: string;
  created: string;
  command: string;
  attributes: Readonly<Record<string, string>>;
}

export function formatGelf(mark: GelfMark, entry: LogEntry): string {
  const { container, tag, hostname, created, command, attributes } = mark;
  const more = Object.entries(attributes).map(([name, value]) => [`_${name}`, value] as const);
  return JSON.stringify({
    ...Object.fromEntries(more),
    version: "1.1",
    host: hostname,
    short_message: entry.log.replace(/\n$/, ""),
    timestamp: Date.parse(entry.time) / 1000,
    level: LEVEL[entry.stream],
    _command: command,
    _container_id: container.id,
    _container_name: container.name,
    _created: created,
    _image_id: container.imageId,
    _image_name: container.imageName,
    _tag: tag,
  });
}

/** Splits a message into datagrams. @throws LighterError with the errno "EMSGSIZE" for one that is too large */
export function splitGelf(message: Uint8Array, id: Uint8Array = randomBytes(8)): Uint8Array[] {
  if (message.length <= PIECE_BYTES) return [message];
  const room = PIECE_BYTES - PIECE_HEAD_BYTES;
  const count = Math.ceil(message.length / room);
  if (count > PIECES_MAX)
    throw new LighterError("invalid", "the message is too large for GELF by UDP", { errno: "EMSGSIZE" });
  return Array.from({ length: count }, (_, index) =>
    Buffer.concat([
      Uint8Array.of(0x1e, 0x0f),
      id,
      Uint8Array.of(index, count),
      message.subarray(index * room, (index + 1) * room),
    ]),
  );
}

function compress({ compression, level }: GelfOptions, text: string): Uint8Array {
  if (compression === "gzip") return gzipSync(text, { level });
  return compression === "zlib" ? deflateSync(text, { level }) : Buffer.from(text);
}

export function openGelf(options: GelfOptions, mark: GelfMark): LogSink {
  const { address } = options;
  if (address.kind === "tcp")
    return new StreamSink(address, (entry) => ({ bytes: Buffer.from(`${formatGelf(mark, entry)}\0`) }));
  let socket: UdpSocket | undefined;
  const sendOne = (bytes: Uint8Array) =>
    new Promise<void>((resolve, reject) => {
      socket ??= openUdp(address.hostname);
      socket.send(bytes, address.port, address.hostname, (error) => (error ? reject(error) : resolve()));
    });
  return {
    send: async (entry) => {
      for (const piece of splitGelf(compress(options, formatGelf(mark, entry)))) await sendOne(piece);
    },
    close: () => socket?.close(),
  };
}
