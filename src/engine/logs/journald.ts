/**
 * Messages for systemd's journal, one datagram each: "KEY=value\n", or, for a value with a line break,
 * "KEY\n", its length as u64 (little-endian), the value, "\n".
 * Sources: systemd, "Native Journal Protocol"; the fields are those of Docker's journald driver.
 */
import { shortId } from "../../base/ids.ts";
import { sendDatagram } from "../../linux/sys/datagram.ts";
import type { LoggedContainer } from "../config/log.ts";
import type { LogEntry } from "./log-entry.ts";
import type { LogSink } from "./sink.ts";

const SOCKET_PATH = "/run/systemd/journal/socket";
const PRIORITY = { stdout: "6", stderr: "3" } as const;

interface JournalMark {
  container: LoggedContainer;
  tag: string;
  attributes: Readonly<Record<string, string>>;
}

export function encodeJournal({ container, tag, attributes }: JournalMark, entry: LogEntry): Buffer {
  const isPartial = !entry.log.endsWith("\n");
  const own = {
    MESSAGE: isPartial ? entry.log : entry.log.slice(0, -1),
    PRIORITY: PRIORITY[entry.stream],
    CONTAINER_ID: shortId(container.id),
    CONTAINER_ID_FULL: container.id,
    CONTAINER_NAME: container.name,
    CONTAINER_TAG: tag,
    IMAGE_NAME: container.imageName,
    SYSLOG_IDENTIFIER: tag,
    SYSLOG_TIMESTAMP: entry.time,
    ...(isPartial ? { CONTAINER_PARTIAL_MESSAGE: "true" } : {}),
  };
  const more = Object.entries(attributes).flatMap(([name, value]) => {
    const field = fieldName(name);
    return field === undefined || Object.hasOwn(own, field) ? [] : [[field, value] as const];
  });
  return Buffer.concat([...Object.entries(own), ...more].map(([name, value]) => encodeField(name, value)));
}

function encodeField(name: string, value: string): Buffer {
  if (!value.includes("\n")) return Buffer.from(`${name}=${value}\n`);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(value)));
  return Buffer.concat([Buffer.from(`${name}\n`), length, Buffer.from(`${value}\n`)]);
}

/**
 * Makes a field's name as the journal takes it: upper case, digits and "_", at most 64, and no "_" at the beginning, which it
 * keeps for itself.
 */
function fieldName(name: string): string | undefined {
  const field = name
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, "_")
    .replace(/^_+/, "");
  return /^[A-Z][A-Z0-9_]{0,63}$/.test(field) ? field : undefined;
}

export function openJournal(mark: JournalMark, path = SOCKET_PATH): LogSink {
  return { send: async (entry) => sendDatagram(path, encodeJournal(mark, entry)), close: () => {} };
}
