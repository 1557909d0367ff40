import { describe, expect, test } from "bun:test";
import { fullConfig } from "../../tests/support/full-config.ts";
import { LighterError } from "../base/errors.ts";
import { parseOciConfig, parseOciProcess, parseOciResources } from "./parse-oci-config.ts";

const MINIMAL = { ociVersion: "1.2.0", root: { path: "rootfs" }, process: { cwd: "/", args: ["sh"] } };

function parse(config: object) {
  return parseOciConfig(JSON.stringify(config), "config.json");
}

describe("parseOciConfig", () => {
  test("runtime-spec config#extensibility: unknown properties are left out, and null is as absent", () => {
    expect(parse({ ...MINIMAL, solaris: {}, hostname: null, linux: { unknown: 1, resources: { cpu: null } } })).toEqual(
      {
        ...MINIMAL,
        linux: { resources: {} },
      },
    );
  });

  test("takes a field in any case, and of two that differ in nothing else the one that is spelled right", () => {
    const hugepageLimits = [{ pagesize: "2MB", LIMIT: 1 }];
    const { root, ...rest } = MINIMAL;
    expect(parse({ ...rest, ROOT: root, Linux: { resources: { hugePageLimits: hugepageLimits } } })).toEqual({
      ...MINIMAL,
      linux: { resources: { hugepageLimits: [{ pageSize: "2MB", limit: 1 }] } },
    });
    expect(parse({ HostName: "a", ...MINIMAL, hostname: "b", HOSTNAME: "c" }).hostname).toBe("b");
  });

  test.each([
    [{ ociVersion: 1 }, "ociVersion is not a string"],
    [{ ociVersion: null }, "ociVersion is missing"],
    [{ root: [] }, "root is not an object"],
    [{ root: {} }, "root.path is missing"],
    [{ process: { cwd: "/", args: ["sh", 1] } }, "process.args[1] is not a string"],
    [{ process: { cwd: "/", env: ["A=\0"] } }, "process.env[0] holds a NUL character"],
    [{ process: { args: [] } }, "process.cwd is missing"],
    [{ process: { cwd: "/", user: { uid: -1 } } }, "process.user.uid is -1, not in 0…4294967295"],
    [{ process: { cwd: "/", user: { uid: 2 ** 32 } } }, "process.user.uid is 4294967296, not in 0…4294967295"],
    [{ process: { cwd: "/", user: { gid: 1.5 } } }, "process.user.gid is not an integer"],
    [{ process: { cwd: "/", rlimits: [{ soft: 1 }] } }, "process.rlimits[0].type is missing"],
    [{ process: { cwd: "/", rlimits: [{ type: "X", hard: -1 }] } }, "process.rlimits[0].hard is -1, which is not"],
    [{ hooks: { prestart: [{ args: [] }] } }, "hooks.prestart[0].path is missing"],
    [{ mounts: [{ destination: "/a" }, {}] }, "mounts[1].destination is missing"],
    [{ annotations: { a: 1 } }, 'annotations["a"] is not a string'],
    [{ linux: { namespaces: [{ type: "net" }] } }, 'linux.namespaces[0].type is "net"'],
    [{ linux: { sysctl: { "a\0": "" } } }, 'linux.sysctl["a\\u0000"] holds a NUL character'],
    [
      { linux: { resources: { devices: Array(1025).fill({}) } } },
      "linux.resources.devices has 1025 entries, more than",
    ],
    [{ linux: { resources: { pids: { limit: 1e300 } } } }, "linux.resources.pids.limit is not a 64-bit integer"],
    [{ linux: { uidMappings: {} } }, "linux.uidMappings is not a list"],
  ])("names the field that is wrong: %j", (change, message) => {
    expect(() => parse({ ...MINIMAL, ...change })).toThrow(`config.json: ${message}`);
  });

  test.each(["2.0.0", "0.9.0", "1.2", "", "v1.2.0"])("refuses ociVersion %j", (ociVersion) => {
    expect(() => parse({ ...MINIMAL, ociVersion })).toThrow("is not supported");
  });

  test.each(["1.0.0", "1.0.2-dev", "1.1.0+dev", "1.2.1"])("takes ociVersion %j", (ociVersion) => {
    expect(parse({ ...MINIMAL, ociVersion }).ociVersion).toBe(ociVersion);
  });

  test("keeps 64-bit arguments of system calls exactly", () => {
    const text = `{"ociVersion":"1.2.0","linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],
      "action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":18446744073709551615,"op":"SCMP_CMP_EQ"}]}]}}}`;
    const { linux } = parseOciConfig(text, "config.json");
    expect(linux?.seccomp?.syscalls?.[0]?.args?.[0]?.value).toBe(18446744073709551615n);
    expect(() => parseOciConfig(text.replace("615", "616"), "config.json")).toThrow(
      "linux.seccomp.syscalls[0].args[0].value is 18446744073709551616, which is not an unsigned 64-bit integer",
    );
  });

  test("rounds other 64-bit values within their type", () => {
    const text = `{"ociVersion":"1.2.0","process":{"cwd":"/","rlimits":[{"type":"RLIMIT_CORE","hard":18446744073709551615}]},
      "linux":{"resources":{"memory":{"limit":9223372036854775807,"swap":9223372036854771712}}}}`;
    const { process, linux } = parseOciConfig(text, "config.json");
    expect(BigInt(process!.rlimits![0]!.hard)).toBe(2n ** 64n - 2048n);
    expect(BigInt(linux!.resources!.memory!.limit!)).toBe(2n ** 63n - 1024n);
    expect(linux!.resources!.memory!.swap).toBe(Number("9223372036854771712"));
  });

  test("fills in what Go's callers leave out", () => {
    const config = parse({
      ...MINIMAL,
      process: { cwd: "/", user: {} },
      linux: { resources: { devices: [{ access: "rwm" }] }, uidMappings: [{ size: 1 }] },
    });
    expect(config.process?.user).toEqual({ uid: 0, gid: 0 });
    expect(config.linux?.resources?.devices).toEqual([{ allow: false, access: "rwm" }]);
    expect(config.linux?.uidMappings).toEqual([{ containerID: 0, hostID: 0, size: 1 }]);
  });

  test("is not misled by the names of Object's own properties", () => {
    const text = '{"ociVersion":"1.2.0","__proto__":{"hostname":"x"},"annotations":{"__proto__":"a","toString":"b"}}';
    const config = parseOciConfig(text, "config.json");
    expect(config.hostname).toBeUndefined();
    expect(Object.entries(config.annotations ?? {})).toEqual([
      ["__proto__", "a"],
      ["toString", "b"],
    ]);
    expect(() => parseOciConfig('{"toString":{}}', "config.json")).toThrow("ociVersion is missing");
  });
});

test("parseOciProcess and parseOciResources name the document", () => {
  expect(() => parseOciProcess("{}", "process.json")).toThrow("process.json: cwd is missing");
  expect(() => parseOciResources('{"memory":{"limit":"1g"}}', "resources")).toThrow(
    "resources: memory.limit is not a 64-bit integer",
  );
  expect(parseOciResources('{"memory":{"limit":-1}}', "resources")).toEqual({ memory: { limit: -1 } });
  expect(() => parseOciResources("[]", "resources")).toThrow(LighterError);
});

test("every field of the types is read back as it is", () => {
  const config = fullConfig();
  expect(parseOciConfig(JSON.stringify(config), "config.json")).toEqual(config);
});
