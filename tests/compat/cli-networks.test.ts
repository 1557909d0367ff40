// needs: ip busybox
/** Networks as users of the command lines have them, ours and the stock one against our daemon: `run -p`, `network`, `port`. */
import { afterAll, afterEach, beforeAll, expect } from "bun:test";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { NetworkNamespace } from "../support/network-namespace.ts";
import { testIf } from "../support/test-if.ts";
import { lighterCommand, type Outcome, runProgram, whyNoDocker } from "./cli-support.ts";

const why = whyNoDocker();

let daemon: TestDaemon;

beforeAll(async () => {
  if (why === undefined) daemon = await TestDaemon.start();
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

const VOLUME = ["-v", hostUsr.Binds[0]!];
/** Says "hello from NAME" to whoever connects to its port 80. */
const server = (name: string) => ["host-usr", "sh", "-c", `exec busybox nc -ll -p 80 -e echo hello from ${name}`];

for (const [name, client] of [
  ["docker", ["docker"]],
  ["lighter", lighterCommand],
] as const) {
  const works = (what: string, act: () => Promise<void>) =>
    testIf(why === undefined, why ?? "")(`${name}: ${what}`, act, 60_000);
  const run = (...args: string[]): Promise<Outcome> =>
    runProgram([...client, ...args], { env: { DOCKER_HOST: `unix://${daemon.socketPath}` } });
  const ok = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await run(...args);
    if (code !== 0) throw new Error(`${args.join(" ")}: ${stderr}`);
    return stdout.trim();
  };
  /** What answers in the daemon's namespace, once somebody does. */
  const answerAt = async (address: string, port: number): Promise<string> => {
    const deadline = Date.now() + 10_000;
    for (;;) {
      const argv = daemon.network.inside("busybox", "nc", "-w", "1", address, String(port));
      const { stdout } = await runProgram(argv);
      if (stdout !== "" || Date.now() > deadline) return stdout.trim();
    }
  };

  afterEach(async () => {
    if (why !== undefined) return;
    const ids = (await ok("ps", "-aq")).split("\n").filter((id) => id !== "");
    if (ids.length > 0) await ok("rm", "-f", ...ids);
    await ok("network", "prune", "-f");
  });

  works("run -p leads to the container, from the host's loopback and from its other addresses", async () => {
    await ok("run", "-d", "--name", "web", "-p", "8080:80", "-p", "127.0.0.1:8081:80", ...VOLUME, ...server("web"));
    const gateway = JSON.parse(await ok("network", "inspect", "bridge"))[0].IPAM.Config[0].Gateway;
    expect(await answerAt("127.0.0.1", 8080)).toBe("hello from web");
    expect(await answerAt(gateway, 8080)).toBe("hello from web");
    expect(await answerAt("127.0.0.1", 8081)).toBe("hello from web");
    expect(await ok("port", "web")).toBe("80/tcp -> 0.0.0.0:8080\n80/tcp -> 127.0.0.1:8081");
    expect(await ok("port", "web", "80/tcp")).toBe("0.0.0.0:8080\n127.0.0.1:8081");
    expect(await ok("ps", "--format", "{{.Ports}}")).toBe("0.0.0.0:8080->80/tcp, 127.0.0.1:8081->80/tcp");
    const taken = await run("run", "--rm", "-p", "8080:80", ...VOLUME, "host-usr", "true");
    expect(taken.code).toBe(125);
    expect(taken.stderr).toContain("Bind for 0.0.0.0:8080 failed: port is already allocated");
  });

  works("run -P and --expose publish to free ports, which are given back", async () => {
    await ok("run", "-d", "--name", "web", "-P", "--expose", "80", "--expose", "81/udp", ...VOLUME, ...server("web"));
    const [tcp, udp] = (await ok("port", "web")).split("\n");
    expect(tcp).toMatch(/^80\/tcp -> 0\.0\.0\.0:\d+$/);
    expect(udp).toMatch(/^81\/udp -> 0\.0\.0\.0:\d+$/);
    const port = Number(tcp!.split(":")[1]);
    expect(await answerAt("127.0.0.1", port)).toBe("hello from web");
    await ok("rm", "-f", "web");
    await ok("run", "-d", "--name", "again", "-p", `${port}:80`, ...VOLUME, ...server("again"));
    expect(await answerAt("127.0.0.1", port)).toBe("hello from again");
  });

  works("services of one network find each other by name, as Compose has them", async () => {
    await ok("network", "create", "app_default");
    await ok("network", "create", "--internal", "app_inner");
    const service = (service: string, ...more: string[]) =>
      ok(
        ...["run", "-d", "--name", `app-${service}-1`, "--network", "app_default", "--network-alias", service],
        ...[...more, ...VOLUME, ...server(service)],
      );
    await service("db");
    await service("web", "-p", "8080:80");
    await ok("network", "connect", "--alias", "store", "app_inner", "app-db-1");
    await ok("network", "connect", "app_inner", "app-web-1");
    const ask = (name: string) =>
      ok("exec", "app-web-1", "sh", "-c", `until busybox nc -w 1 ${name} 80; do sleep 0.1; done`);
    for (const name of ["db", "app-db-1", "store", "db.app_default"]) expect(await ask(name)).toBe("hello from db");
    expect(await answerAt("127.0.0.1", 8080)).toBe("hello from web");
    await ok("network", "disconnect", "app_default", "app-web-1");
    expect(await ask("store")).toBe("hello from db");
    const gone = await run("network", "rm", "app_inner");
    expect(gone.stderr).toContain("has active endpoints");
  });

  works("addresses, MAC address and several networks by flags", async () => {
    await ok("network", "create", "--subnet", "10.77.0.0/24", "front");
    await ok("network", "create", "--subnet", "10.78.0.0/24", "back");
    await ok(
      ...[
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "name=front,ip=10.77.0.9,alias=www",
        "--network",
        "name=back,ip=10.78.0.9",
      ],
      ...["--add-host", "gate:host-gateway", "--hostname", "host", ...VOLUME, ...server("web")],
    );
    const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
    expect(await ok("inspect", "--format", format, "web")).toBe("10.78.0.9 10.77.0.9");
    const hosts = await ok("exec", "web", "cat", "/etc/hosts");
    expect(hosts).toMatch(/^\d+\.\d+\.\d+\.1\tgate$/m);
    expect(hosts).toMatch(/^10\.77\.0\.9\thost$/m);
    await ok("run", "-d", "--name", "mac", "--mac-address", "02:42:ac:11:00:99", ...VOLUME, ...server("mac"));
    expect(await ok("exec", "mac", "cat", "/sys/class/net/eth0/address")).toBe("02:42:ac:11:00:99");
  });

  if (name === "lighter")
    works("later Docker's flags: a network without IPv4, the priority of gateways, an interface's name", async () => {
      await ok("network", "create", "--ipv4=false", "--ipv6", "six");
      expect(await ok("network", "inspect", "-f", "{{len .IPAM.Config}}", "six")).toBe("1");
      await ok("network", "create", "--subnet", "10.77.0.0/24", "front");
      await ok("network", "create", "--subnet", "10.78.0.0/24", "lower");
      const wish = "name=lower,gw-priority=1,driver-opt=com.docker.network.endpoint.ifname=lan0";
      await ok("run", "-d", "--name", "web", "--network", "front", "--network", wish, ...VOLUME, ...server("web"));
      const route = () => ok("exec", "web", "ip", "-4", "route", "show", "default");
      expect(await route()).toContain("via 10.78.0.1 dev lan0");
      await ok("network", "disconnect", "front", "web");
      await ok("network", "connect", "--gw-priority", "2", "front", "web");
      expect(await route()).toContain("via 10.77.0.1 dev eth0");
    });

  works("a link to a container of the default network", async () => {
    await ok("run", "-d", "--name", "db", "--expose", "80", "-e", "FOO=bar", ...VOLUME, ...server("db"));
    await ok("run", "-d", "--name", "web", "--link", "db:data", ...VOLUME, ...server("web"));
    const asked = "until busybox nc -w 1 data 80; do sleep 0.1; done; echo $DATA_PORT_80_TCP_PORT $DATA_ENV_FOO";
    expect(await ok("exec", "web", "sh", "-c", asked)).toBe("hello from db\n80 bar");
  });

  works("what a container sends goes out with the host's address", async () => {
    await using outside = await NetworkNamespace.create();
    const { network } = daemon;
    network.run("ip", "link", "add", "far", "type", "veth", "peer", "name", "near", "netns", String(outside.pid));
    network.run("sh", "-c", "ip addr add 192.0.2.1/24 dev far && ip link set far up");
    outside.run("sh", "-c", "ip addr add 192.0.2.2/24 dev near && ip link set near up");
    // It has no route to the container: only an answer to the host's address comes back.
    await ok("run", "--rm", ...VOLUME, "host-usr", "busybox", "ping", "-c", "1", "-W", "5", "192.0.2.2");
    await ok("run", "-d", "--name", "web", "-p", "8080:80", ...VOLUME, ...server("web"));
    expect(await answerAt("127.0.0.1", 8080)).toBe("hello from web");
    const fromFar = await runProgram(outside.inside("busybox", "nc", "-w", "5", "192.0.2.1", "8080"));
    expect(fromFar.stdout).toBe("hello from web\n");
  });
}
