import { describe, expect, test } from "bun:test";
import { OpList } from "../linux/program/builder.ts";
import type { Op } from "../linux/program/op.ts";
import type { OciLinux, OciProcess, OciScheduler } from "../spec/oci-runtime.ts";
import {
  encodeSchedAttr,
  parseCpuList,
  setAffinity,
  setMemoryPolicy,
  setPersonality,
  setScheduling,
} from "./scheduling.ts";

const field = (bytes: Uint8Array, at: number, size: 4 | 8) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return size === 4 ? BigInt(view.getInt32(at, true)) : view.getBigUint64(at, true);
};

describe("encodeSchedAttr", () => {
  test("writes every policy, flag and number where sched_setattr(2) has it", () => {
    const policies = "OTHER FIFO RR BATCH ISO IDLE DEADLINE".split(" ");
    for (const [number, name] of policies.entries())
      expect(field(encodeSchedAttr({ policy: `SCHED_${name}` }), 4, 4)).toBe(BigInt(number));
    const flags = "RESET_ON_FORK RECLAIM DL_OVERRUN KEEP_POLICY KEEP_PARAMS UTIL_CLAMP_MIN UTIL_CLAMP_MAX".split(" ");
    for (const [bit, name] of flags.entries())
      expect(field(encodeSchedAttr({ policy: "SCHED_OTHER", flags: [`SCHED_FLAG_${name}`] }), 8, 8)).toBe(
        1n << BigInt(bit),
      );
    const other = encodeSchedAttr({ policy: "SCHED_OTHER", nice: -20 });
    expect([field(other, 0, 4), field(other, 16, 4)]).toEqual([56n, -20n]);
    expect(field(encodeSchedAttr({ policy: "SCHED_FIFO", priority: 99 }), 20, 4)).toBe(99n);
    const huge = { runtime: 2n ** 63n, deadline: 2, period: 3 } as unknown as Partial<OciScheduler>;
    const deadline = encodeSchedAttr({ policy: "SCHED_DEADLINE", ...huge });
    expect([24, 32, 40].map((at) => field(deadline, at, 8))).toEqual([2n ** 63n, 2n, 3n]);
  });

  test("refuses what the policy does not have, naming the field", () => {
    const bad: [Partial<OciScheduler>, RegExp][] = [
      [{ policy: "SCHED_FAST" }, /scheduler\.policy "SCHED_FAST"/],
      [{ flags: ["SCHED_FLAG_X"] }, /scheduler\.flags\[0\]/],
      [{ nice: 20 }, /scheduler\.nice/],
      [{ nice: -21 }, /scheduler\.nice/],
      [{ nice: 0.5 }, /scheduler\.nice/],
      [{ priority: 1 }, /scheduler\.priority/],
      [{ runtime: 1 }, /SCHED_DEADLINE/],
      [{ policy: "SCHED_RR", period: 1 }, /SCHED_DEADLINE/],
      [{ policy: "SCHED_FIFO", priority: 100 }, /scheduler\.priority/],
      [{ policy: "SCHED_DEADLINE", runtime: -1 }, /scheduler\.runtime/],
    ];
    for (const [change, message] of bad)
      expect(() => encodeSchedAttr({ policy: "SCHED_OTHER", ...change })).toThrow(
        expect.objectContaining({ code: "invalid", message: expect.stringMatching(message) }),
      );
  });
});

test("a list of CPUs becomes bits, and what is no list is refused by name", () => {
  const bits = (list: string) =>
    [...parseCpuList(list, "x")].flatMap((byte, at) =>
      [0, 1, 2, 3, 4, 5, 6, 7].flatMap((bit) => ((byte >> bit) & 1 ? [8 * at + bit] : [])),
    );
  expect(bits("0")).toEqual([0]);
  expect(bits("0-2,7, 9-9,8191")).toEqual([0, 1, 2, 7, 9, 8191]);
  for (const list of ["", ",", "1,", "a", "-1", "2-1", "8192", "0-99999999999", "1 2", "0x1"])
    expect(() => parseCpuList(list, "process.execCPUAffinity.final")).toThrow(
      expect.objectContaining({ code: "invalid", message: expect.stringContaining("execCPUAffinity.final") }),
    );
});

const process = (change: Partial<OciProcess>): OciProcess => ({ cwd: "/", ...change });

test("I/O priorities have their class in the upper bits", () => {
  const encoded = (ioPriority: { class: string; priority: number }) => {
    const ops = new OpList("init");
    setScheduling(ops, process({ ioPriority }));
    return ops.ops.map((op) => (op.kind === "call" ? op.args[2] : undefined));
  };
  expect(encoded({ class: "IOPRIO_CLASS_RT", priority: 7 })).toEqual([(1 << 13) | 7]);
  expect(encoded({ class: "IOPRIO_CLASS_BE", priority: 0 })).toEqual([2 << 13]);
  expect(encoded({ class: "IOPRIO_CLASS_IDLE", priority: 0 })).toEqual([3 << 13]);
  expect(() => encoded({ class: "IOPRIO_CLASS_NONE", priority: 0 })).toThrow(/ioPriority\.class/);
  expect(() => encoded({ class: "IOPRIO_CLASS_BE", priority: 8 })).toThrow(/ioPriority\.priority/);
});

test("affinity and personality are set if asked for, and flags of a personality are refused", () => {
  const ops = new OpList("init");
  setAffinity(ops, process({}), "initial");
  setPersonality(ops, {});
  expect(ops.ops).toEqual([]);
  setAffinity(ops, process({ execCPUAffinity: { final: "1" } }), "initial");
  expect(ops.ops).toEqual([]);
  const whole = new OpList("init");
  setAffinity(whole, process({ execCPUAffinity: { initial: "0,4-5,33" } }), "initial");
  expect(whole.ops).toMatchObject([{ why: "process.execCPUAffinity.initial: affinity: 0x200000031" }]);
  setPersonality(ops, { personality: { domain: "LINUX32" } });
  setPersonality(ops, { personality: { domain: "LINUX", flags: [] } });
  expect(ops.ops).toMatchObject([
    { name: "personality", args: [8] },
    { name: "personality", args: [0] },
  ]);
  expect(() => setPersonality(ops, { personality: { domain: "LINUX", flags: ["ADDR_NO_RANDOMIZE"] } })).toThrow(
    expect.objectContaining({ code: "not-supported", message: expect.stringContaining("personality.flags") }),
  );
});

test("a memory policy is set with its flags and nodes, and what is none is refused by name", () => {
  const of = (memoryPolicy: NonNullable<OciLinux["memoryPolicy"]>) => {
    const init = new OpList("init");
    setMemoryPolicy(init, { memoryPolicy });
    return init.ops[0] as Op & { kind: "call"; args: readonly [number, { data: Uint8Array }, number] };
  };
  const { name, args } = of({ mode: "MPOL_INTERLEAVE", nodes: "0,9-10", flags: ["MPOL_F_STATIC_NODES"] });
  expect([name, args[0], [...args[1].data.subarray(0, 3)], args[2]]).toEqual([
    "set_mempolicy",
    0x8003,
    [1, 6, 0],
    1025,
  ]);
  expect(of({ mode: "MPOL_LOCAL" }).args[1].data.every((byte) => byte === 0)).toBe(true);
  for (const [policy, message] of [
    [{ mode: "MPOL_NONE" }, 'linux.memoryPolicy.mode "MPOL_NONE" is unknown'],
    [{ mode: "MPOL_BIND", nodes: "0", flags: ["X"] }, 'linux.memoryPolicy.flags: "X" is unknown'],
    [{ mode: "MPOL_BIND", nodes: "all" }, 'linux.memoryPolicy.nodes: "all" is not a list of numbers'],
    [{ mode: "MPOL_BIND", nodes: "1024" }, "more than 1024 nodes"],
  ] as const)
    expect(() => of({ ...policy, flags: [...("flags" in policy ? policy.flags : [])] })).toThrow(message);
});
