import { describe, expect, test } from "bun:test";
import { OpList } from "../linux/program/builder.ts";
import type { OciProcess } from "../spec/oci-runtime.ts";
import { becomeProcess, candidatePaths, checkUser } from "./process.ts";

const PROCESS: OciProcess = { cwd: "/", args: ["sh"], env: ["PATH=/bin"] };

function opsOf(process: Partial<OciProcess>, hold = false) {
  const init = new OpList("init");
  becomeProcess(init, { ...PROCESS, ...process }, undefined, { hold, fds: undefined, handOver: undefined });
  return init.ops;
}

function callsOf(process: Partial<OciProcess>, name: string) {
  return opsOf(process).flatMap((op) => (op.kind === "call" && op.name === name ? [op.args] : []));
}

describe("candidatePaths", () => {
  test("is the file itself if it has a slash, wherever", () => {
    for (const file of ["/bin/sh", "./sh", "a/b", "a/", "/"])
      expect(candidatePaths(file, ["PATH=/bin"])).toEqual([file]);
  });

  test("is each entry of PATH with the file, without doubled slashes and empty entries", () => {
    expect(candidatePaths("sh", ["PATH=/a:/b/://c//:"])).toEqual(["/a/sh", "/b/sh", "//c/sh"]);
    expect(candidatePaths("sh", ["PATH=/"])).toEqual(["/sh"]);
    expect(candidatePaths("sh", ["PATH=relative"])).toEqual(["relative/sh"]);
  });

  test("takes the last PATH of the environment, and nothing like it", () => {
    expect(candidatePaths("sh", ["PATH=/a", "PATH=/b", "XPATH=/c", "PATHS=/d"])).toEqual(["/b/sh"]);
  });

  test("is nothing without a PATH", () => {
    expect(candidatePaths("sh", [])).toEqual([]);
    expect(candidatePaths("sh", ["PATH="])).toEqual([]);
  });
});

describe("becomeProcess", () => {
  test("sets limits: exact numbers, and infinity for -1 and for what JSON cannot hold", () => {
    const limits = callsOf(
      {
        rlimits: [
          { type: "RLIMIT_NOFILE", soft: 1024, hard: 2 ** 40 },
          { type: "RLIMIT_CORE", soft: 0, hard: -1 },
          { type: "RLIMIT_AS", soft: 2 ** 53, hard: 2 ** 64 },
        ],
      },
      "prlimit64",
    );
    const values = limits.map(([, resource, struct]) => {
      const view = new DataView((struct as { data: Uint8Array }).data.buffer);
      return [resource, view.getBigUint64(0, true), view.getBigUint64(8, true)];
    });
    const infinity = 2n ** 64n - 1n;
    expect(values).toEqual([
      [7, 1024n, 2n ** 40n],
      [4, 0n, infinity],
      [9, 2n ** 53n, infinity],
    ]);
  });

  test("refuses a limit that is unknown or listed twice", () => {
    const limit = { type: "RLIMIT_NOFILE", soft: 1, hard: 1 };
    expect(() => opsOf({ rlimits: [limit, limit] })).toThrow(/"RLIMIT_NOFILE" is listed twice/);
    expect(() => opsOf({ rlimits: [{ ...limit, type: "NOFILE" }] })).toThrow(/unknown type "NOFILE"/);
  });

  test("drops the groups of the daemon, in the order that the kernel allows: groups, gid, uid, capabilities", () => {
    const names = opsOf({ user: { uid: 1, gid: 2, additionalGids: [7, 8] } }).map((op): string =>
      op.kind === "call" ? op.name : op.kind,
    );
    const order = ["setgroups", "setresgid", "setresuid", "capset", "prctl.PR_SET_PDEATHSIG", "execute"];
    expect(names.filter((name) => order.includes(name))).toEqual(order);
    expect(callsOf({}, "setgroups")[0]![0]).toBe(0);
    const [count, list] = callsOf({ user: { uid: 1, gid: 2, additionalGids: [7, 0xfffffffe] } }, "setgroups")[0]!;
    expect(count).toBe(2);
    expect([...(list as { data: Uint8Array }).data]).toEqual([7, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff]);
  });

  test("closes every other fd before it changes the directory, and checks where it then is", () => {
    const names = opsOf({}).map((op): string => (op.kind === "call" ? op.name : op.kind));
    const order = ["close_range", "chdir", "checkCwd"];
    expect(names.filter((name) => order.includes(name))).toEqual(order);
  });

  test("waits for start only if it is to, before the filter and the change of user", () => {
    const kinds = (hold: boolean) => opsOf({}, hold).map(({ kind }) => kind);
    expect(kinds(false)).not.toContain("receive");
    const held = opsOf({}, true).map((op): string => (op.kind === "call" ? op.name : op.kind));
    expect(held.indexOf("receive")).toBeGreaterThan(held.indexOf("checkCwd"));
    expect(held.indexOf("receive")).toBeLessThan(held.indexOf("setresuid"));
  });

  test("refuses a process without a program", () => {
    for (const args of [[], undefined])
      expect(() => opsOf({ args } as Partial<OciProcess>)).toThrow(expect.objectContaining({ code: "invalid" }));
    expect(() => opsOf({ args: [""] })).toThrow('exec: "": executable file not found in $PATH');
  });
});

describe("checkUser", () => {
  test("takes every id that there is, and no other", () => {
    for (const id of [0, 1, 65534, 0xfffffffe])
      checkUser({ ...PROCESS, user: { uid: id, gid: id, additionalGids: [id] } });
    for (const id of [-1, 0xffffffff, 2 ** 32, 1.5, Number.NaN])
      for (const user of [
        { uid: id, gid: 0 },
        { uid: 0, gid: id },
        { uid: 0, gid: 0, additionalGids: [id] },
      ])
        expect(() => checkUser({ ...PROCESS, user })).toThrow(expect.objectContaining({ code: "invalid" }));
  });

  test("wants an absolute working directory", () => {
    for (const cwd of ["", "a", "./a"]) expect(() => checkUser({ ...PROCESS, cwd })).toThrow(/not absolute/);
  });
});
