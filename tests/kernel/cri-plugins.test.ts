/** Pods in a network of the plugins that Debian packages: what they reach, and that nothing is left of it, whatever ends them. */
import { afterAll, beforeAll, expect } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../src/base/errors.ts";
import { Cni } from "../../src/network/cni/mod.ts";
import { CriDaemon } from "../support/cri-daemon.ts";
import { until } from "../support/eventually.ts";
import { missing } from "../support/missing.ts";
import { NetworkNamespace } from "../support/network-namespace.ts";
import { isAlive, isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const BIN = "/usr/lib/cni";
const USED = ["bridge", "host-local", "portmap", "firewall", "bandwidth"];

const absent = USED.filter((name) => !existsSync(join(BIN, name)));
const whyNot = !isRoot
  ? "needs root"
  : absent.length > 0
    ? `needs ${BIN}/${absent.join(", ")} (containernetworking-plugins)`
    : (missing("python3", "ip", "tc", "iptables") ?? (await lackOfKernel()));
const withPlugins = testIf(whyNot === undefined, whyNot ?? "");

/** What the kernel does not have that the plugins need. */
async function lackOfKernel(): Promise<string | undefined> {
  await using namespace = await NetworkNamespace.create();
  try {
    namespace.run("iptables", "-t", "nat", "-A", "POSTROUTING", "-m", "comment", "--comment", "x", "-j", "MASQUERADE");
    namespace.run("ip", "link", "add", "bridge0", "type", "bridge");
    namespace.run("ip", "link", "add", "ifb0", "type", "ifb");
    namespace.run(
      "tc",
      "qdisc",
      "add",
      "dev",
      "ifb0",
      "root",
      "tbf",
      "rate",
      "1mbit",
      "burst",
      "10kb",
      "latency",
      "1s",
    );
    return undefined;
  } catch (error) {
    return `needs a kernel with iptables, bridges, ifb and tbf: ${messageOf(error).trim()}`;
  }
}

let node: CriDaemon;
let leases: string;
/** The sandboxes' processes. */
const pids = new Map<string, number>();

beforeAll(async () => {
  if (whyNot !== undefined) return;
  node = await CriDaemon.start([BIN]);
  leases = join(node.daemon.directory, "leases");
  const ipam = {
    type: "host-local",
    dataDir: leases,
    ranges: [[{ subnet: "10.123.0.0/24" }]],
    routes: [{ dst: "0.0.0.0/0" }],
  };
  node.plugins.configure(
    [
      { type: "bridge", bridge: "cni0", isGateway: true, ipMasq: true, hairpinMode: true, ipam },
      { type: "portmap", capabilities: { portMappings: true }, snat: true },
      { type: "firewall", backend: "iptables" },
      { type: "bandwidth", capabilities: { bandwidth: true } },
    ],
    { cniVersion: "1.0.0" },
  );
});

afterAll(() => node?.[Symbol.asyncDispose]());

const host = () => node.daemon.network;

const LIMITS = new Map([
  ["kubernetes.io/ingress-bandwidth", "10M"],
  ["kubernetes.io/egress-bandwidth", "10M"],
]);

const SERVER = `exec /usr/bin/python3 -c '
import socket
s = socket.create_server(("", 8080))
while True:
    c, a = s.accept()
    c.sendall(a[0].encode())
    c.close()
'`;

/** The command that prints what a server says. */
const client = (address: string, port: number) => [
  "/usr/bin/python3",
  "-c",
  `import socket; print(socket.create_connection(("${address}", ${port}), 10).recv(100).decode())`,
];

async function addressOf(podSandboxId: string): Promise<string> {
  return (await node.cri.call("PodSandboxStatus", { podSandboxId })).status!.network!.ip;
}

/** A pod with a server that listens. */
async function serve(name: string, more: object = {}) {
  const pod = await node.runPod(name, more);
  pids.set(pod, (await node.daemon.inspect(pod)).State.Pid);
  const container = await node.startContainer(pod, SERVER, name);
  const address = await addressOf(pod);
  await until(
    () =>
      node.exec(container, ...client("127.0.0.1", 8080)).then(
        () => true,
        () => false,
      ),
    "it listens",
  );
  return { pod, container, address };
}

/** Kills a sandbox's process. */
async function killed(pod: string): Promise<void> {
  const pid = pids.get(pod)!;
  process.kill(pid, "SIGKILL");
  await until(() => !isAlive(pid), "the sandbox is gone");
}

/** Leases, links and rules of pods: nothing is left when none is there. */
function traces() {
  const rules = host().run("iptables-save").split("\n");
  return {
    leases: readdirSync(join(leases, "pods")).filter((name) => /^\d/.test(name)),
    links: host()
      .links()
      .filter((name) => name !== "cni0"),
    rules: rules.filter((line) => line.startsWith("-A") && /10\.123\.0\.\d+[/: ]|CNI-(DN-)?[0-9a-f]{20}/.test(line)),
    attachments: node.attachments,
  };
}

const NOTHING = { leases: [], links: [], rules: [], attachments: [] };

withPlugins("pods reach each other, the host their ports, and limits are theirs; nothing is left of them", async () => {
  const portMappings = [{ protocol: 0, containerPort: 8080, hostPort: 18080 }];
  const one = await serve("one", { annotations: LIMITS, portMappings });
  const two = await serve("two");
  expect([one.address, two.address]).toEqual(["10.123.0.2", "10.123.0.3"]);
  expect(await node.exec(two.container, ...client(one.address, 8080))).toBe("10.123.0.3\n");
  expect(await node.exec(one.container, ...client(two.address, 8080))).toBe("10.123.0.2\n");
  expect(host().run(...client("10.123.0.1", 18080))).toContain("10.123.0.");
  expect(await node.exec(two.container, ...client("10.123.0.1", 18080))).toContain("10.123.0.");
  expect(host().run("tc", "qdisc", "show").match(/ tbf /g)).toHaveLength(2);
  expect(traces().leases).toEqual(["10.123.0.2", "10.123.0.3"]);
  await node.cri.call("StopPodSandbox", { podSandboxId: one.pod });
  expect(traces().leases).toEqual(["10.123.0.3"]);
  expect(traces().links).toHaveLength(1);
  for (const { pod } of [one, two]) await node.cri.call("RemovePodSandbox", { podSandboxId: pod });
  expect(traces()).toEqual(NOTHING);
});

withPlugins(
  "a sandbox that has died is disconnected when kubelet stops it, also if the daemon has died after it",
  async () => {
    const portMappings = [{ protocol: 0, containerPort: 8080, hostPort: 18080 }];
    const { pod, address } = await serve("died", { annotations: LIMITS, portMappings });
    await node.restart();
    await killed(pod);
    const stateOf = async () => (await node.cri.call("PodSandboxStatus", { podSandboxId: pod })).status!.state;
    await until(async () => (await stateOf()) === 1, "it is not ready");
    expect(traces().leases).toEqual([address]);
    await node.cri.call("StopPodSandbox", { podSandboxId: pod });
    expect(traces()).toEqual(NOTHING);
    await node.cri.call("RemovePodSandbox", { podSandboxId: pod });
    const second = await serve("second", { annotations: LIMITS, portMappings });
    await node.daemon.kill();
    await killed(second.pod);
    await node.restart();
    expect(traces().leases).toEqual([second.address]);
    await node.cri.call("RemovePodSandbox", { podSandboxId: second.pod });
    // The bridge's rule for masquerading stays: it finds the addresses in the namespace, which is gone.
    expect({ ...traces(), rules: [] }).toEqual(NOTHING);
    expect(host().run("iptables-save")).not.toContain("dport 18080");
    for (const what of ["-F", "-X"]) host().run("iptables", "-t", "nat", what);
    const again = await serve("again", { portMappings });
    expect(host().run(...client("10.123.0.1", 18080))).toContain("10.123.0.");
    await node.cri.call("RemovePodSandbox", { podSandboxId: again.pod });
  },
);

withPlugins("what the plugins have made can be checked", async () => {
  const { pod, container, address } = await serve("checked", { annotations: LIMITS }); // one without panics when it is checked
  const binDirectory = join(node.daemon.directory, "inside");
  mkdirSync(binDirectory);
  for (const name of USED) {
    const path = join(binDirectory, name);
    writeFileSync(path, `#!/bin/sh\nexec ${host().inside(join(BIN, name)).join(" ")}\n`);
    chmodSync(path, 0o755);
  }
  const cni = new Cni({
    configDirectory: node.plugins.configDirectory,
    binDirectories: [binDirectory],
    cacheDirectory: join(node.daemon.dataRoot, "cni"),
  });
  await cni.check(pod);
  const { Pid } = (await node.daemon.inspect(container)).State;
  const change = (what: string) =>
    host().run("nsenter", `--net=/proc/${Pid}/ns/net`, "ip", "address", what, `${address}/24`, "dev", "eth0");
  change("delete");
  expect(await cni.check(pod).then(() => "", messageOf)).toContain('plugin type="bridge" failed (check)');
  change("add");
  expect(await cni.problem()).toBeUndefined();
  await node.cri.call("RemovePodSandbox", { podSandboxId: pod });
  expect(traces()).toEqual(NOTHING);
});
