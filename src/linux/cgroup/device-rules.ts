/** Turns a list of device rules into one policy, and a policy into v1's files. */
import { LighterError } from "../../base/errors.ts";
import { DEVICE_RULES_MAX } from "../../base/limits.ts";
import type { OciDeviceRule } from "../../spec/oci-runtime.ts";

/** The bits of an access, as in BPF_DEVCG_ACC_* (linux/bpf.h). */
export const DEVICE_ACCESS = { m: 1, r: 2, w: 4 } as const;
export const ACCESS_ALL = 7;
const U32_MAX = 0xffffffff;

/** The accesses that an exception of a policy matches. */
export interface DeviceException {
  type: "b" | "c";
  /** Undefined matches any number. */
  major?: number;
  minor?: number;
  /** Bits of DEVICE_ACCESS; at least one is set. */
  access: number;
}

/**
 * The sum of a list of device rules: a verdict, and exceptions that have the other one.
 * If the default is "deny", an access passes if one exception covers all of it; if it is "allow", an access is refused if an
 * exception covers any part of it. Exceptions are sorted and distinct, so equal lists give equal policies.
 */
export interface DevicePolicy {
  defaultAllow: boolean;
  exceptions: DeviceException[];
}

/**
 * Applies rules in order, starting from "deny", as cgroup v1's device controller does, which runc follows on v2 too. A rule for
 * all devices resets the policy; others add to the exceptions or take from them.
 *
 * Two things differ from runc and the kernel's files, where those do not follow the spec's "apply entries in the listed order".
 * Type "a" with numbers or a part of "rwm" means just those devices of both types, not every device with every access. A wide
 * rule overrides narrower ones before it, instead of doing nothing.
 * Sources: runtime-spec config-linux.md#allowed-device-list; kernel security/device_cgroup.c.
 * @throws LighterError ("invalid") for a malformed rule, one too many, or a rule that takes a part out of a wildcard
 *   exception: cgroup v1 ignores those silently, which would leave a device open that the caller meant to close.
 */
export function compileDeviceRules(rules: readonly OciDeviceRule[]): DevicePolicy {
  if (rules.length > DEVICE_RULES_MAX)
    throw new LighterError(
      "invalid",
      `resources.devices has ${rules.length} rules; at most ${DEVICE_RULES_MAX} can be`,
    );
  let defaultAllow = false;
  const exceptions = new Map<string, DeviceException>();
  for (const [index, rule] of rules.entries()) {
    const where = `resources.devices[${index}]`;
    const { types, major, minor, access } = parseRule(rule, where);
    if (types.length === 2 && major === undefined && minor === undefined && access === ACCESS_ALL) {
      defaultAllow = rule.allow;
      exceptions.clear();
      continue;
    }
    for (const type of types) {
      const exception: DeviceException = {
        type,
        ...(major === undefined ? {} : { major }),
        ...(minor === undefined ? {} : { minor }),
        access,
      };
      if (rule.allow === defaultAllow) removeException(exceptions, exception, where);
      else addException(exceptions, exception);
    }
  }
  return { defaultAllow, exceptions: [...exceptions.values()].sort(byNumbers) };
}

/**
 * The writes that give a fresh v1 cgroup this policy, in order: [file, value].
 * A fresh cgroup has its parent's policy, so the first write always sets the default.
 * Source: Linux Documentation/admin-guide/cgroup-v1/devices.rst.
 */
export function deviceWritesV1(policy: DevicePolicy): ["devices.allow" | "devices.deny", string][] {
  const same = policy.defaultAllow ? "devices.allow" : "devices.deny";
  const other = policy.defaultAllow ? "devices.deny" : "devices.allow";
  return [[same, "a"], ...policy.exceptions.map((each): [typeof other, string] => [other, formatException(each)])];
}

/** Writes an exception as devices.allow and devices.list have it: "c 1:3 rwm", "b *:* m". */
export function formatException(exception: DeviceException): string {
  const access = (["r", "w", "m"] as const).filter((letter) => (exception.access & DEVICE_ACCESS[letter]) !== 0);
  return `${exception.type} ${exception.major ?? "*"}:${exception.minor ?? "*"} ${access.join("")}`;
}

/**
 * The devices that every container may use, whatever its config says: runc adds these to each, and images count on them. Making
 * any node is harmless as long as opening it is not allowed. 10:200 is /dev/net/tun, which runc 1.2 removed and 1.2.4 restored.
 * Source: runtime-spec config-linux.md#default-devices; runc's built-in list.
 */
export const BUILTIN_DEVICE_RULES: readonly OciDeviceRule[] = [
  { allow: true, type: "c", access: "m" },
  { allow: true, type: "b", access: "m" },
  allowCharacter(1, 3), // null
  allowCharacter(1, 5), // zero
  allowCharacter(1, 7), // full
  allowCharacter(1, 8), // random
  allowCharacter(1, 9), // urandom
  allowCharacter(5, 0), // tty
  allowCharacter(5, 2), // ptmx
  allowCharacter(10, 200), // net/tun
  { allow: true, type: "c", major: 136, access: "rwm" }, // pts/*
];

/** The device rules of a container that Docker starts without device options. */
export function defaultDeviceRules(): OciDeviceRule[] {
  // 5:1 is console, which Docker's own list has and runc's has not.
  return [{ allow: false, access: "rwm" }, allowCharacter(5, 1), ...BUILTIN_DEVICE_RULES].map((rule) => ({ ...rule }));
}

function allowCharacter(major: number, minor: number): OciDeviceRule {
  return { allow: true, type: "c", major, minor, access: "rwm" };
}

function parseRule(rule: OciDeviceRule, where: string) {
  const type = rule.type === undefined || rule.type === "" ? "a" : rule.type;
  if (type !== "a" && type !== "b" && type !== "c")
    throw new LighterError("invalid", `${where}.type is ${JSON.stringify(rule.type)}, not a, b or c`);
  const major = parseNumber(rule.major, `${where}.major`);
  const minor = parseNumber(rule.minor, `${where}.minor`);
  let access = 0;
  for (const letter of rule.access ?? "") {
    if (letter === "a") continue; // "all" of cgroup v1's own files, which runc passes over
    if (letter !== "r" && letter !== "w" && letter !== "m")
      throw new LighterError("invalid", `${where}.access ${JSON.stringify(rule.access)} has more than r, w and m`);
    access |= DEVICE_ACCESS[letter];
  }
  if (access === 0) {
    // The spec leaves open what an absent access means. { allow: false } for everything is common; anything else is a mistake.
    if (type !== "a" || major !== undefined || minor !== undefined)
      throw new LighterError("invalid", `${where}.access is missing`);
    access = ACCESS_ALL;
  }
  const types: ("b" | "c")[] = type === "a" ? ["b", "c"] : [type];
  return { types, major, minor, access };
}

/** A device number; -1 and absent mean any. */
function parseNumber(value: number | undefined, where: string): number | undefined {
  if (value === undefined || value === -1) return undefined;
  if (!Number.isInteger(value) || value < 0 || value > U32_MAX)
    throw new LighterError("invalid", `${where} is ${value}, not a number of 32 bits`);
  return value;
}

function keyOf({ type, major, minor }: Omit<DeviceException, "access">): string {
  return `${type} ${major ?? "*"}:${minor ?? "*"}`;
}

function addException(exceptions: Map<string, DeviceException>, exception: DeviceException): void {
  const key = keyOf(exception);
  exceptions.set(key, { ...exception, access: exception.access | (exceptions.get(key)?.access ?? 0) });
}

function removeException(exceptions: Map<string, DeviceException>, removed: DeviceException, where: string): void {
  for (const [key, found] of exceptions) {
    if (found.type !== removed.type || (found.access & removed.access) === 0) continue;
    if (!overlaps(found.major, removed.major) || !overlaps(found.minor, removed.minor)) continue;
    if (!covers(removed.major, found.major) || !covers(removed.minor, found.minor))
      throw new LighterError(
        "invalid",
        `${where} "${formatException(removed)}" takes a part out of "${formatException(found)}", which cgroups cannot do`,
      );
    const access = found.access & ~removed.access;
    if (access === 0) exceptions.delete(key);
    else exceptions.set(key, { ...found, access });
  }
}

/** Whether one device number covers another. Undefined is any number. */
function covers(wide: number | undefined, narrow: number | undefined): boolean {
  return wide === undefined || wide === narrow;
}

function overlaps(a: number | undefined, b: number | undefined): boolean {
  return covers(a, b) || covers(b, a);
}

function byNumbers(a: DeviceException, b: DeviceException): number {
  const any = -1;
  return (
    (a.major ?? any) - (b.major ?? any) ||
    (a.minor ?? any) - (b.minor ?? any) ||
    a.type.charCodeAt(0) - b.type.charCodeAt(0)
  );
}
