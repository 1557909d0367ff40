import { describe, expect, test } from "bun:test";
import { HYBRID, PROGRAM_CASES, UNIFIED_V2 } from "../../tests/support/program-cases.ts";
import { encodeProgram } from "../linux/program/encode.ts";
import { loadCompiler } from "../linux/seccomp/memo.ts";
import type { OciConfig } from "../spec/oci-runtime.ts";
import { compileStart } from "./compile.ts";

await loadCompiler();

function compile(change: (config: OciConfig) => void) {
  const config: OciConfig = {
    ociVersion: "1.2.0",
    process: { cwd: "/", args: ["/bin/true"] },
    root: { path: "/root" },
    linux: { namespaces: [{ type: "mount" }] },
  };
  change(config);
  const stdio = { terminal: false, stdin: false };
  return compileStart({ id: "x", config, rootfs: [], runDirectory: "/run/x", stdio, attach: [] }, UNIFIED_V2, false);
}

describe("compileStart refuses, naming the field", () => {
  const cases: [name: string, code: string, change: (config: OciConfig) => void][] = [
    ["config.process", "invalid", (config) => delete config.process],
    ["root.path", "invalid", (config) => delete config.root],
    [
      "linux.personality.domain",
      "invalid",
      (config) => Object.assign(config.linux!, { personality: { domain: "BSD" } }),
    ],
    ["linux.intelRdt", "not-supported", (config) => Object.assign(config.linux!, { intelRdt: {} })],
    ["linux.mountLabel", "not-supported", (config) => Object.assign(config.linux!, { mountLabel: "x" })],
    ["mounts[0].destination", "invalid", (config) => Object.assign(config, { mounts: [{ destination: "data" }] })],
    [
      "mounts[0].destination is the root",
      "invalid",
      (config) => Object.assign(config, { mounts: [{ destination: "//" }] }),
    ],
    [
      "mounts[0] on /a: a mount needs a type",
      "invalid",
      (config) => Object.assign(config, { mounts: [{ destination: "/a" }] }),
    ],
    [
      "mounts[0] on /a: a bind mount needs a source",
      "invalid",
      (config) => Object.assign(config, { mounts: [{ destination: "/a", type: "bind" }] }),
    ],
    [
      'mounts[0]: "/proc/self/attr"',
      "invalid",
      (config) => Object.assign(config, { mounts: [{ destination: "/proc/x/../self/attr", type: "tmpfs" }] }),
    ],
    [
      "tmpcopyup",
      "invalid",
      (config) => Object.assign(config, { mounts: [{ destination: "/a", type: "proc", options: ["tmpcopyup"] }] }),
    ],
    [
      "linux.cgroupsPath",
      "invalid",
      (config) => Object.assign(config, { mounts: [{ destination: "/c", type: "cgroup" }] }),
    ],
    [
      "process.user.uid 7",
      "invalid",
      (config) => {
        config.process!.user = { uid: 7, gid: 0 };
        config.linux!.uidMappings = [{ containerID: 0, hostID: 1000, size: 7 }];
      },
    ],
    ["linux.rootfsPropagation", "invalid", (config) => Object.assign(config.linux!, { rootfsPropagation: "odd" })],
    ["device /x", "invalid", (config) => Object.assign(config.linux!, { devices: [{ path: "/x", type: "q" }] })],
    ["linux.sysctl", "invalid", (config) => Object.assign(config.linux!, { sysctl: { "a/../../b": "1" } })],
    ...["kernel.hostname", "kernel/hostname"].map((key): (typeof cases)[number] => [
      `linux.sysctl "${key}" is not allowed as it conflicts with the OCI "hostname" field`,
      "invalid",
      (config) => Object.assign(config.linux!, { sysctl: { [key]: "x" } }),
    ]),
    ["linux.maskedPaths", "invalid", (config) => Object.assign(config.linux!, { maskedPaths: ["proc/kcore"] })],
  ];
  for (const [name, code, change] of cases)
    test(name, () => {
      expect(() => compile(change)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(name) }));
    });

  test("nothing of a small config", () => {
    expect(compile(() => {}).program.init.at(-1)).toMatchObject({ kind: "execute", paths: ["/bin/true"] });
  });
});

/** The programs that make a process. */
const STARTS = PROGRAM_CASES.filter(({ name }) => !/^(network|later|stand-in)-/.test(name));

describe("a program of a start", () => {
  test("has one clone, and execve last", () => {
    for (const { program } of STARTS) {
      expect(program.host.filter(({ kind }) => kind === "clone")).toHaveLength(1);
      expect(program.init.findIndex(({ kind }) => kind === "execute")).toBe(program.init.length - 1);
    }
  });

  test("has a reason for every op", () => {
    for (const { program } of PROGRAM_CASES)
      for (const op of [...program.host, ...program.init, ...program.cleanup]) expect(op.why).not.toBe("");
  });

  test("cleans up only what itself has made, and everything that it has made", () => {
    for (const { program } of STARTS) {
      const made = program.host.flatMap((op) => (op.kind === "call" && op.name === "mkdirat" ? [op.out] : []));
      const held = program.host.flatMap((op) => (op.kind === "receive" && op.out ? [op.out] : []));
      const opened = program.host.flatMap((op) => (op.kind === "call" && op.out === "root" ? [op.out] : []));
      const plugged = program.host.flatMap((op) =>
        op.kind === "netlink" && op.out?.startsWith("made ") ? [op.out] : [],
      );
      const removed = program.cleanup.flatMap((op) => (op.kind === "removeCgroup" ? [op.guard] : []));
      expect(removed.toSorted()).toEqual(made.toSorted());
      const unplugged = program.cleanup.flatMap((op) => (op.kind === "netlink" ? [op.guard] : []));
      expect(unplugged).toEqual(plugged);
      for (const op of program.cleanup)
        if (op.kind !== "capture") expect([...made, ...held, ...opened, ...plugged]).toContain(op.guard);
    }
  });

  test("takes the cgroup host as it is given", () => {
    expect(HYBRID.cgroups.mode).toBe("hybrid");
    expect(UNIFIED_V2.cgroups.mode).toBe("unified");
  });
});

/** Init receives in the order of sending: if a message of the host's were pending, init would take it for the answer. */
test("all that the host's side sends has been received when init first pauses", () => {
  const mappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
  const rootfs = [
    {
      destination: "/",
      type: "overlay",
      source: "overlay",
      options: ["lowerdir=/l/1", "upperdir=/w/u", "workdir=/w/w"],
    },
  ];
  const users = [[], [{ type: "user" as const }], [{ type: "user" as const, path: "/proc/7/ns/user" }]];
  for (const user of users)
    for (const idmappedDirectories of [[], ["/l", "/w"]])
      for (const pause of ["placeInCgroup", "beforePivot"] as const) {
        const config: OciConfig = {
          ociVersion: "1.2.0",
          process: { cwd: "/", args: ["/bin/true"] },
          root: { path: "/root" },
          mounts: [{ destination: "/data", type: "bind", source: "/srv", options: ["rbind"] }],
          linux: {
            namespaces: [{ type: "mount" }, { type: "pid" }, { type: "cgroup" }, ...user],
            cgroupsPath: "/a/b",
            ...(user.length > 0 ? { uidMappings: mappings, gidMappings: mappings } : {}),
          },
        };
        const stdio = { terminal: false, stdin: false, inherit: true as const };
        const request = { id: "x", config, rootfs, runDirectory: "/run/x", stdio, attach: [], idmappedDirectories };
        const { program } = compileStart(
          { ...request, handOver: {}, [pause]: () => Promise.resolve() },
          UNIFIED_V2,
          false,
        );
        const kinds = program.init.map(({ kind }) => kind);
        const first = kinds.findIndex((kind, index) => kind === "send" && kinds[index + 1] === "receive");
        expect(first).toBeGreaterThan(0);
        const received = kinds.slice(0, first).filter((kind) => kind === "receive").length;
        expect(received).toBe(program.host.filter(({ kind }) => kind === "send").length);
        if (pause === "beforePivot") continue;
        const unshared = program.init.findIndex(({ why }) => why.startsWith("this cgroup becomes the root"));
        expect(unshared).toBeGreaterThan(first);
      }
});

test("many bind mounts fit into a program", () => {
  const { program } = compile((config) => {
    config.mounts = Array.from({ length: 500 }, (_, index) => ({
      destination: `/data/${index}`,
      type: "bind",
      source: `/srv/${index}`,
      options: ["rbind", "rprivate"],
    }));
  });
  const targets = program.init.filter((op) => op.kind === "openTarget" && op.path.startsWith("data/"));
  expect(targets).toHaveLength(500);
  expect(encodeProgram(program).length).toBeGreaterThan(0);
});
