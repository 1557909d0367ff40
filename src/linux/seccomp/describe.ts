/** Says what a filter does with the system calls of this machine, by name. */
import type { OciSeccomp } from "../../spec/oci-runtime.ts";
import { errnoName } from "../sys/errno.ts";
import { syscallNames, syscallNumber } from "./arch.ts";
import { hostArch, type NativeArch } from "./native.ts";
import { ACTION_BY_NAME, readPolicy } from "./policy.ts";

/** Calls with which a filter does the same. */
interface DecidedCalls {
  /** "allow", "errno EPERM", "kill_process", …; "arguments": their arguments decide. */
  action: string;
  calls: string[];
}

const ERRNO_BITS = 0xffff;

/** What is done with each call, the largest group first. @throws LighterError ("invalid") for what is no filter */
export function describeSeccomp(seccomp: OciSeccomp, native: NativeArch = hostArch()): DecidedCalls[] {
  const { arches, otherwise, unknown } = readPolicy(seccomp, native);
  const { decisions, newestKnown = Number.POSITIVE_INFINITY } = arches[0]!;
  const groups = new Map<string, string[]>();
  for (const name of syscallNames()) {
    const number = syscallNumber(native, name);
    if (number === undefined) continue;
    const decision = decisions.get(number) ?? (number > newestKnown ? unknown : otherwise);
    const action = "action" in decision ? describeAction(decision.action) : "arguments";
    groups.set(action, [...(groups.get(action) ?? []), name]);
  }
  return [...groups]
    .map(([action, calls]) => ({ action, calls: calls.sort() }))
    .sort((a, b) => b.calls.length - a.calls.length);
}

function describeAction(action: number): string {
  const kind = (action & ~ERRNO_BITS) >>> 0;
  const [name = ""] = [...ACTION_BY_NAME].find(([, { ret }]) => ret === kind) ?? [];
  const word = name.replace("SCMP_ACT_", "").toLowerCase();
  return word === "errno" ? `errno ${errnoName(action & ERRNO_BITS)}` : word;
}
