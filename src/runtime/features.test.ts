import { expect, test } from "bun:test";
import { HYBRID } from "../../tests/support/program-cases.ts";
import { loadCompiler } from "../linux/seccomp/memo.ts";
import { parseOciConfig } from "../spec/parse-oci-config.ts";
import { compileStart } from "./compile.ts";
import { features } from "./features.ts";
import type { HostFacts } from "./host-facts.ts";

await loadCompiler();

const REQUEST = {
  id: "x",
  rootfs: [],
  runDirectory: "/run/x",
  stdio: { terminal: false, stdin: false },
  attach: [],
};
/** A host with AppArmor and SELinux. */
const HOST: HostFacts = {
  ...HYBRID,
  readText: (path) => (path.startsWith("/sys/module/apparmor") ? "Y\n" : path.startsWith("/sys/fs/selinux") ? "1" : ""),
};
const claimed = features() as {
  hooks: string[];
  mountOptions: string[];
  linux: { namespaces: string[]; seccomp: Record<"actions" | "operators" | "archs" | "supportedFlags", string[]> };
};

function compiles(change: { process?: object; linux?: object; hooks?: object; mounts?: object[] }): boolean {
  const process = { cwd: "/", args: ["sh"], ...change.process };
  const linux = { namespaces: [{ type: "mount" }], ...change.linux };
  const config = { ociVersion: "1.2.0", root: { path: "/r" }, ...change, process, linux };
  compileStart({ ...REQUEST, config: parseOciConfig(JSON.stringify(config), "config.json") }, HOST, true);
  return true;
}

test("what features claims of labels, hooks and namespaces compiles", () => {
  expect(claimed).toMatchObject({ linux: { apparmor: { enabled: true }, selinux: { enabled: true } } });
  expect(compiles({ process: { apparmorProfile: "p" } })).toBe(true);
  expect(compiles({ process: { selinuxLabel: "u:r:t:s0" } })).toBe(true);
  for (const hook of claimed.hooks) expect(compiles({ hooks: { [hook]: [{ path: "/bin/true" }] } })).toBe(true);
  for (const type of claimed.linux.namespaces) {
    const ids = [{ containerID: 0, hostID: 1000, size: 1 }];
    const mappings = type === "user" ? { uidMappings: ids, gidMappings: ids } : {};
    const namespaces = [{ type: "mount" }, ...(type === "mount" ? [] : [{ type }])];
    expect(compiles({ linux: { namespaces, ...mappings } })).toBe(true);
  }
});

test("every claimed mount option is taken for a bind mount or a tmpfs", () => {
  for (const option of claimed.mountOptions.filter((name) => !["remount", "idmap", "ridmap"].includes(name))) {
    const mount = { destination: "/x", source: "/srv", options: ["rbind", option] };
    const tmpfs = { destination: "/x", source: "tmpfs", type: "tmpfs", options: [option] };
    const takes = [mount, tmpfs].some((each) => {
      try {
        return compiles({ mounts: [each] });
      } catch {
        return false;
      }
    });
    expect({ option, takes }).toEqual({ option, takes: true });
  }
});

test("every claimed part of seccomp compiles", () => {
  const { actions, operators, archs, supportedFlags } = claimed.linux.seccomp;
  const arg = (op: string) => ({ index: 0, value: 1, valueTwo: 1, op });
  const rules = (action: string, op: string) => [{ names: ["getcwd"], action, args: [arg(op)] }];
  const base = { defaultAction: "SCMP_ACT_ALLOW", listenerPath: "/run/l", architectures: archs };
  for (const action of actions)
    for (const op of operators)
      expect(compiles({ linux: { seccomp: { ...base, syscalls: rules(action, op) } } })).toBe(true);
  const notify = rules("SCMP_ACT_NOTIFY", "SCMP_CMP_EQ");
  expect(compiles({ linux: { seccomp: { ...base, flags: supportedFlags, syscalls: notify } } })).toBe(true);
});
