/** Redirects a network namespace's DNS queries to its resolver. */
import { compare, immediate, meta, nat, payload } from "./expressions.ts";
import { encodeBatch, type Table } from "./messages.ts";
import { newChain, newRule, newTable, PRIORITY } from "./objects.ts";
import { portNumber } from "./values.ts";

const TABLE: Table = { family: "ip", name: "lighter-resolver" };
const RESOLVER = Uint8Array.of(127, 0, 0, 11);
export const DNS_PORT = 53;
const PROTOCOLS = { tcp: 6, udp: 17 };
const IPV4_DESTINATION = 16;

/**
 * The messages, a whole batch, that make a network namespace send queries to 127.0.0.11, port 53, to another port of that
 * address, so that its own port 53 stays free. The sender sets their sequence numbers.
 */
export function resolverRedirect(port: number): Uint8Array[] {
  const rules = Object.values(PROTOCOLS).map((protocol) =>
    newRule(TABLE, "output", [
      payload("network", IPV4_DESTINATION, RESOLVER.length, 0),
      compare(0, "==", RESOLVER),
      meta("l4proto", 0),
      compare(0, "==", Uint8Array.of(protocol)),
      payload("transport", 2, 2, 0),
      compare(0, "==", portNumber(DNS_PORT)),
      immediate(0, RESOLVER),
      immediate(1, portNumber(port)),
      nat("dnat", "ip", { address: 0, port: 1 }),
    ]),
  );
  const base = { type: "nat", hook: "output", priority: PRIORITY.dstnat } as const;
  return encodeBatch([newTable(TABLE), newChain(TABLE, "output", base), ...rules]);
}
