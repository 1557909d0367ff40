/** DNS messages for tests, written and read without the code that is tested. (RFC 1035 §4) */

export interface QueryParts {
  id?: number;
  flags?: number;
  /** The name; or `labels`, if a label has a dot in it. */
  name?: string;
  labels?: readonly string[];
  type: number;
  class?: number;
  /** The size in an OPT record; without it there is no such record. */
  ednsBytes?: number;
  opts?: number;
}

function encodeLabels(labels: readonly string[]): Buffer {
  const parts = labels.map((label) => Buffer.concat([Buffer.from([Buffer.byteLength(label)]), Buffer.from(label)]));
  return Buffer.concat([...parts, Buffer.from([0])]);
}

function u16s(...values: number[]): Buffer {
  const bytes = Buffer.alloc(2 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt16BE(value, 2 * index);
  return bytes;
}

export function buildQuery(parts: QueryParts): Uint8Array {
  const labels = parts.labels ?? (parts.name ?? "").split(".").filter((label) => label !== "");
  const count = parts.ednsBytes === undefined ? 0 : (parts.opts ?? 1);
  const opt = Buffer.concat([Buffer.from([0]), u16s(41, parts.ednsBytes ?? 0, 0, 0, 0)]);
  return Uint8Array.from(
    Buffer.concat([
      u16s(parts.id ?? 0, parts.flags ?? 0x0100, 1, 0, 0, count),
      encodeLabels(labels),
      u16s(parts.type, parts.class ?? 1),
      ...new Array<Buffer>(count).fill(opt),
    ]),
  );
}

export interface ReadRecord {
  name: string;
  type: number;
  class: number;
  ttl: number;
  /** The data in hexadecimal; for a PTR record, the name. */
  data: string;
}

export interface ReadMessage {
  id: number;
  flags: number;
  questions: { name: string; type: number; class: number }[];
  answers: ReadRecord[];
  additional: ReadRecord[];
}

/** Reads a message. @throws RangeError if the message is shorter or longer than it says */
export function readMessage(message: Uint8Array): ReadMessage {
  const bytes = Buffer.from(message);
  let at = 12;
  const readName = (): string => {
    const labels: string[] = [];
    let back: number | undefined;
    for (let hops = 0; hops < 64; hops++) {
      const length = bytes.readUInt8(at);
      if (length >= 0xc0) {
        back ??= at + 2;
        at = bytes.readUInt16BE(at) & 0x3fff;
        continue;
      }
      at += 1 + length;
      if (length === 0) break;
      labels.push(bytes.toString("utf8", at - length, at));
    }
    at = back ?? at;
    return labels.join(".");
  };
  const readQuestion = () => {
    const name = readName();
    at += 4;
    return { name, type: bytes.readUInt16BE(at - 4), class: bytes.readUInt16BE(at - 2) };
  };
  const readRecord = (): ReadRecord => {
    const question = readQuestion();
    const ttl = bytes.readUInt32BE(at);
    const length = bytes.readUInt16BE(at + 4);
    at += 6;
    const end = at + length;
    if (end > bytes.length) throw new RangeError("a record is cut off");
    const data = question.type === 12 ? readName() : bytes.toString("hex", at, end);
    at = end;
    return { ...question, ttl, data };
  };
  const times = <T>(count: number, read: () => T): T[] => Array.from({ length: count }, read);
  const read = {
    id: bytes.readUInt16BE(0),
    flags: bytes.readUInt16BE(2),
    questions: times(bytes.readUInt16BE(4), readQuestion),
    answers: times(bytes.readUInt16BE(6) + bytes.readUInt16BE(8), readRecord),
    additional: times(bytes.readUInt16BE(10), readRecord),
  };
  if (at !== bytes.length) throw new RangeError(`${bytes.length - at} bytes follow`);
  return read;
}
