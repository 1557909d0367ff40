/** Answers DNS queries about names of containers. */
import { parseIpAddress } from "../../base/ip-address.ts";
import { type AnswerRecord, CLASS_IN, encodeName, type Query, RecordType } from "./message.ts";
import { addressOfReverseName } from "./reverse-name.ts";
import type { NameSource } from "./types.ts";

/**
 * The records that answer a query. None means that the name is known and has nothing of that type; undefined means that other
 * servers must be asked.
 *
 * As with Docker, a container's name has addresses alone, and mail goes to those (RFC 5321 §5.1). Unlike with Docker, ANY gets
 * them all, and HTTPS and SVCB get an empty answer: browsers and curl ask for these together with the addresses, and records of a
 * namesake on the internet would lead them there. Queries of other types about such a name are for other servers.
 */
export function answerFrom(names: NameSource, query: Query): AnswerRecord[] | undefined {
  if (query.class !== CLASS_IN) return undefined;
  switch (query.type) {
    case RecordType.ptr:
      return answerReverse(names, query.name);
    case RecordType.a:
    case RecordType.aaaa:
    case RecordType.any:
    case RecordType.mx:
    case RecordType.https:
    case RecordType.svcb:
      return answerName(names, query);
    default:
      return undefined;
  }
}

function answerName(names: NameSource, { name, type }: Query): AnswerRecord[] | undefined {
  const found = names.lookup(name);
  if (found === undefined) return undefined;
  const wants = (candidate: number) => type === candidate || type === RecordType.any;
  return [
    ...(wants(RecordType.a) ? addressRecords(RecordType.a, found.ipv4) : []),
    ...(wants(RecordType.aaaa) ? addressRecords(RecordType.aaaa, found.ipv6) : []),
  ];
}

/** Makes the address records, in another order each time, so that each address gets its share of the connections. */
function addressRecords(type: number, addresses: readonly string[]): AnswerRecord[] {
  const records = addresses.map((address) => ({ type, data: parseIpAddress(address) }));
  for (let last = records.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [records[last], records[other]] = [records[other]!, records[last]!];
  }
  return records;
}

function answerReverse(names: NameSource, name: string): AnswerRecord[] | undefined {
  const address = addressOfReverseName(name);
  const found = address === undefined ? undefined : names.reverse(address);
  if (found === undefined) return undefined;
  const data = encodeName(found);
  return data === undefined ? [] : [{ type: RecordType.ptr, data }];
}
