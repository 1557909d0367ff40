/**
 * The expressions of a rule. Some load registers; others go on only if a register holds what they ask for. A rule has matched if
 * all its expressions went on.
 *
 * There are sixteen registers of 4 bytes, 0 … 15; a longer value takes those that follow. The verdict has its own.
 * Source: Linux include/uapi/linux/netfilter/nf_tables.h, net/netfilter/nft_*.c.
 */
import type { Attribute } from "../netlink/mod.ts";
import { attr } from "../netlink/mod.ts";
import { FAMILY } from "./messages.ts";
import { dataValue, NFTA_LIST_ELEM } from "./values.ts";

/** A register's number, 0 … 15. */
type Register = number;

const NFT_REG_VERDICT = 0;
const NFT_REG32_00 = 8;

function expression(name: string, attributes: readonly Attribute[]): Attribute {
  return attr.nested(NFTA_LIST_ELEM, [attr.text(1, name), attr.nested(2, attributes)]);
}

const register = (type: number, number: Register): Attribute => attr.be32(type, NFT_REG32_00 + number);

/** NFT_META_*, with the bytes each loads. Names are padded with NULs, `nfproto` and `l4proto` are one byte. */
const META = { iifname: 6, oifname: 7, nfproto: 15, l4proto: 16, iifgroup: 21, oifgroup: 22, iifkind: 26, oifkind: 27 };

/** Loads a property of the packet that is in no header. */
export function meta(key: keyof typeof META, into: Register): Attribute {
  return expression("meta", [register(1, into), attr.be32(2, META[key])]);
}

const PAYLOAD_BASE = { network: 1, transport: 2 };

/** Loads bytes of a header. */
export function payload(base: keyof typeof PAYLOAD_BASE, offset: number, length: number, into: Register): Attribute {
  return expression("payload", [
    register(1, into),
    attr.be32(2, PAYLOAD_BASE[base]),
    attr.be32(3, offset),
    attr.be32(4, length),
  ]);
}

const COMPARISON = { "==": 0, "!=": 1 };

/** Goes on if the bytes from the register on are, or are not, equal to `value`. */
export function compare(from: Register, operator: keyof typeof COMPARISON, value: Uint8Array): Attribute {
  return expression("cmp", [register(1, from), attr.be32(2, COMPARISON[operator]), dataValue(3, value)]);
}

/** Clears all bits of a register except those of `mask`. */
export function mask(inPlace: Register, bits: Uint8Array): Attribute {
  return expression("bitwise", [
    register(1, inPlace),
    register(2, inPlace),
    attr.be32(3, bits.length),
    dataValue(4, bits),
    dataValue(5, new Uint8Array(bits.length)),
  ]);
}

/** Goes on if the set has the key that begins in register `from`. For a map, puts the key's value into `into`. */
export function lookup(set: string, from: Register, into?: Register): Attribute {
  return expression("lookup", [
    attr.text(1, set),
    register(2, from),
    ...(into === undefined ? [] : [register(3, into)]),
  ]);
}

/** NFT_CT_*. A u32 each, in the host's byte order. */
const CT = { state: 0, status: 2 };
/** Bits of `ct state`. */
export const CT_STATE = { established: 0x2, related: 0x4 } as const;
/** A bit of `ct status`: the connection's destination was changed. */
export const CT_STATUS_DNAT = 0x20;

/** Loads a property of the packet's connection. Ends the rule if the packet belongs to none. */
export function connection(key: keyof typeof CT, into: Register): Attribute {
  return expression("ct", [register(1, into), attr.be32(2, CT[key])]);
}

const NFT_FIB_RESULT_ADDRTYPE = 3;
const NFTA_FIB_F_DADDR = 2;
/** A value of `destinationType`: an address of this host. Source: RTN_LOCAL, rtnetlink(7). */
export const RTN_LOCAL = 2;

/** Loads the type of the packet's destination address: RTN_*, a u32 in the host's byte order. */
export function destinationType(into: Register): Attribute {
  return expression("fib", [register(1, into), attr.be32(2, NFT_FIB_RESULT_ADDRTYPE), attr.be32(3, NFTA_FIB_F_DADDR)]);
}

export function immediate(into: Register, value: Uint8Array): Attribute {
  return expression("immediate", [register(1, into), dataValue(2, value)]);
}

/** NF_DROP and NF_ACCEPT; NFT_RETURN and NFT_JUMP are negative. */
const VERDICT = { drop: 0, accept: 1, return: -5, jump: -3 };

/** Ends the chain. "accept" ends this chain and its callers, but chains of other tables go on and may drop the packet. */
export function verdict(code: "drop" | "accept" | "return"): Attribute {
  return verdictOf([attr.be32(1, VERDICT[code] >>> 0)]);
}

export function jump(chain: string): Attribute {
  return verdictOf([attr.be32(1, VERDICT.jump >>> 0), attr.text(2, chain)]);
}

function verdictOf(parts: readonly Attribute[]): Attribute {
  const NFTA_DATA_VERDICT = 2;
  const data = attr.nested(2, [attr.nested(NFTA_DATA_VERDICT, parts)]);
  return expression("immediate", [attr.be32(1, NFT_REG_VERDICT), data]);
}

const NAT_TYPE = { snat: 0, dnat: 1 };

/** Gives the connection another source or destination: an address, and with `port` a port, from registers. Ends the chain. */
export function nat(
  type: keyof typeof NAT_TYPE,
  family: "ip" | "ip6",
  from: { address: Register; port?: Register },
): Attribute {
  return expression("nat", [
    attr.be32(1, NAT_TYPE[type]),
    attr.be32(2, FAMILY[family]),
    register(3, from.address),
    ...(from.port === undefined ? [] : [register(5, from.port)]),
  ]);
}

/** Changes the connection's source to the address of the interface by which it leaves. Ends the chain. */
export function masquerade(): Attribute {
  return expression("masq", []);
}
