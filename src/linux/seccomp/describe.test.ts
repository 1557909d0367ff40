import { expect, test } from "bun:test";
import { describeSeccomp } from "./describe.ts";

test("describeSeccomp groups the calls of a machine by what is done with them", () => {
  const groups = describeSeccomp(
    {
      defaultAction: "SCMP_ACT_ERRNO",
      architectures: ["SCMP_ARCH_X86_64"],
      syscalls: [
        { names: ["read", "write", "clone3", "no_such_call"], action: "SCMP_ACT_ALLOW" },
        { names: ["reboot"], action: "SCMP_ACT_KILL_PROCESS" },
        { names: ["ptrace"], action: "SCMP_ACT_ERRNO", errnoRet: 38 },
        {
          names: ["personality"],
          action: "SCMP_ACT_ALLOW",
          args: [{ index: 0, value: 0, op: "SCMP_CMP_EQ" }],
        },
      ],
    },
    "x86_64",
  );
  const callsOf = (action: string) => groups.find((each) => each.action === action)?.calls;
  expect(callsOf("allow")).toEqual(["clone3", "read", "write"]);
  expect(callsOf("kill_process")).toEqual(["reboot"]);
  expect(callsOf("arguments")).toEqual(["personality"]);
  expect(groups[0]!.action).toBe("errno EPERM");
  expect(callsOf("errno EPERM")).toContain("mount");
  // A call that is newer than the newest of the profile is unknown to it.
  expect(callsOf("errno ENOSYS")).toContain("mseal");
  expect(callsOf("errno ENOSYS")).toContain("ptrace");
});

test("describeSeccomp tells nothing apart of a filter without rules", () => {
  expect(describeSeccomp({ defaultAction: "SCMP_ACT_LOG" }, "aarch64").map(({ action }) => action)).toEqual(["log"]);
});
