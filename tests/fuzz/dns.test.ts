import { expect, test } from "bun:test";
import { answerFrom } from "../../src/network/dns/answer.ts";
import { FrameReader, frame } from "../../src/network/dns/length-framed.ts";
import {
  answerCode,
  encodeAnswer,
  encodeFailure,
  encodeRefusal,
  parseQuery,
  type Query,
} from "../../src/network/dns/message.ts";
import { NameTable } from "../../src/network/dns/name-table.ts";
import { planResolvConf, resolvConfPath } from "../../src/network/dns/resolv-conf.ts";
import { buildQuery, readMessage } from "../support/dns-message.ts";
import { Random } from "../support/random.ts";

/** Queries are a container's bytes, answers a stranger's: each is read, refused or dropped. */

const BUDGET_MS = Number(process.env.FUZZ_MS ?? 2000);

const table = new NameTable();
for (let index = 0; index < 60; index++)
  table.add({
    endpointId: `e${index}`,
    containerId: `c${index}`,
    networkId: "n",
    networkName: "net.work",
    names: [`web${index}`, "all"],
    ipv4: `10.0.0.${index}`,
    ipv6: `fd00::${index.toString(16)}`,
  });
const names = table.view("c0");

const LABELS = [
  "web1",
  "all",
  "net",
  "work",
  "WEB2",
  "x".repeat(63),
  "a.b",
  "\\",
  "grün",
  "1",
  "in-addr",
  "arpa",
  "ip6",
];
const TYPES = [1, 12, 15, 28, 33, 41, 64, 65, 255, 0, 65535];

function anyQuery(random: Random): Uint8Array {
  const labels = Array.from({ length: random.below(6) }, () => random.pick(LABELS));
  const size = random.pick([undefined, 0, 512, 1232, 65535]);
  return buildQuery({
    id: random.below(65536),
    labels,
    type: random.pick(TYPES),
    class: random.pick([1, 1, 1, 3, 255]),
    flags: random.pick([0x0100, 0x0110, 0, 0x0120]),
    ...(size === undefined ? {} : { ednsBytes: size, opts: 1 + random.below(2) }),
  });
}

function damaged(random: Random, message: Uint8Array): Uint8Array {
  const bytes = message.slice();
  for (let count = 1 + random.below(4); count > 0; count--)
    bytes[random.below(bytes.length)] = random.pick([0, 1, 0x3f, 0x40, 0xc0, 0xff, random.below(256)]);
  const cut = random.below(3);
  if (cut === 0) return bytes.subarray(0, random.below(bytes.length + 1));
  return cut === 1 ? Buffer.concat([bytes, bytes.subarray(random.below(bytes.length))]) : bytes;
}

/** Any answer of ours is one that another reader takes, fits, and belongs to the query. */
function checkAnswer(answer: Uint8Array, query: Query, maxBytes: number): void {
  const read = readMessage(answer);
  expect(answer.length).toBeLessThanOrEqual(maxBytes);
  expect(read.id).toBe(query.id);
  expect(read.flags & 0x8000).toBe(0x8000);
  expect(read.additional.length).toBe(query.edns ? 1 : 0);
  expect(answerCode(answer, query.id, query)).toBe(read.flags & 0xf);
}

test("DNS messages: any bytes are a query, a refusal or nothing, and what we answer is well-formed", () => {
  const random = Random.fromEnvironment("dns");
  const seen = { answered: 0, passedOn: 0, refused: 0, dropped: 0, truncated: 0 };
  for (const end = performance.now() + BUDGET_MS; performance.now() < end; ) {
    const intact = anyQuery(random);
    const message = random.below(2) === 0 ? intact : damaged(random, intact);
    const query = parseQuery(message);
    if (query === undefined) seen.dropped++;
    else if (typeof query === "number") {
      seen.refused++;
      const read = readMessage(encodeRefusal(message, query));
      expect(read).toMatchObject({ id: (message[0]! << 8) | message[1]!, questions: [], answers: [] });
      expect(read.flags & 0x800f).toBe(0x8000 | query);
    } else {
      const records = answerFrom(names, query);
      checkAnswer(encodeFailure(query, 2), query, 12 + 255 + 4 + 11);
      if (records === undefined) seen.passedOn++;
      else {
        seen.answered++;
        const answer = encodeAnswer(query, records, query.udpMaxBytes);
        checkAnswer(answer, query, query.udpMaxBytes);
        if ((answer[2]! & 2) !== 0) seen.truncated++;
      }
      answerCode(damaged(random, message), query.id, query);
    }
  }
  for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(0);
});

test("DNS by TCP: any stream cut anywhere gives the same messages", () => {
  const random = Random.fromEnvironment("dns stream");
  for (const end = performance.now() + BUDGET_MS / 4; performance.now() < end; ) {
    const messages = Array.from({ length: random.below(5) }, () =>
      Buffer.alloc(12 + random.below(600), random.below(256)),
    );
    const stream = Buffer.concat(messages.map(frame));
    const reader = new FrameReader(612);
    const found: Buffer[] = [];
    for (let at = 0; at < stream.length; ) {
      const size = 1 + random.below(700);
      const pushed = reader.push(stream.subarray(at, at + size));
      if (pushed === undefined) throw new Error("a message is not what it was");
      found.push(...pushed.map((message) => Buffer.from(message)));
      at += size;
    }
    expect(found).toEqual(messages);
  }
});

const WORDS = [..."nameserver search domain options # ; ndots:0 ndots: ndots:-1 . 127.0.0.53 ::1 fe80::1%x".split(" ")];
const MORE_WORDS = ["1.2.3.4", "\n", "\n", "\t", " ", "\r", "\0", "'", "x".repeat(300), "ü", "sortlist", "1.2.3.4.5"];

test("resolv.conf: any file of the host gives one with a server", () => {
  const random = Random.fromEnvironment("resolv.conf");
  const anyWords = () =>
    Array.from({ length: random.below(30) }, () => random.pick([...WORDS, ...MORE_WORDS])).join(random.pick(["", " "]));
  for (const end = performance.now() + BUDGET_MS / 4; performance.now() < end; ) {
    const hostText = anyWords();
    const lists = { servers: [], search: [], options: random.below(3) === 0 ? ["rotate"] : [] };
    const request = { hostText, hostPath: resolvConfPath(hostText), ...lists, ipv6: random.below(2) === 0 };
    expect(planResolvConf(request).text).toMatch(/^nameserver [0-9a-f.:%x]+$/m);
    const planned = planResolvConf({ ...request, resolver: "127.0.0.11" });
    const servers = planned.text.split("\n").filter((line) => /^nameserver\s/.test(line));
    expect(servers).toEqual(["nameserver 127.0.0.11"]);
    expect(planned.text).toMatch(/^options .*ndots:\d/m);
    expect(planned.servers.length).toBeGreaterThan(0);
  }
});
