import { afterEach, expect } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient } from "../support/api-client.ts";
import { type Certificates, hasOpenssl, makeCertificates } from "../support/certificates.ts";
import { checkMetrics } from "../support/check-metrics.ts";
import { daemonProgram, lighterProgram } from "../support/program.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/** Where a daemon listens: TCP with TLS as the stock client speaks it, sockets from systemd, several at once; reload. */

const DOCKER = "/usr/bin/docker";
const SOCKET_ACTIVATE = "/usr/bin/systemd-socket-activate";
const rooted = testIf(isRoot, "needs root");
const withTls = testIf(isRoot && hasOpenssl && existsSync(DOCKER), "needs root, openssl and docker's client");
const withSystemd = testIf(isRoot && existsSync(SOCKET_ACTIVATE), "needs root and systemd-socket-activate");
const cleanup: (() => unknown)[] = [];

afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? tmpdir(), "lighter-sockets-"));
  cleanup.push(() => rmSync(directory, { recursive: true }));
  return directory;
}

class Daemon {
  readonly directory = temporaryDirectory();
  log = "";
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #wake = () => {};

  /** `wrapper`: a program that starts it. */
  constructor(args: (directory: string) => string[], wrapper: string[] = [], env: Record<string, string> = {}) {
    const roots = ["--data-root", join(this.directory, "data"), "--exec-root", join(this.directory, "run")];
    const own = [daemonProgram, "daemon", ...roots, ...args(this.directory)];
    const [program = "", ...rest] = [...wrapper.map((word) => word.replace("%d", this.directory)), ...own];
    this.#child = spawn(program, rest, { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, ...env } });
    this.#child.stderr?.on("data", (chunk) => {
      this.log += chunk;
      this.#wake();
    });
    this.#ended = new Promise((resolve) => this.#child.once("close", resolve));
    void this.#ended.then(() => this.#wake());
    cleanup.push(async () => {
      this.#child.kill("SIGKILL");
      await this.#ended;
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Until it has said this. */
  async says(text: string): Promise<void> {
    while (!this.log.includes(text)) {
      if (this.#child.exitCode !== null) throw new Error(`the daemon ended without "${text}":\n${this.log}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Ended {
  code: number | null;
  output: string;
}

async function run(command: string[], env: Record<string, string>): Promise<Ended> {
  const [program = "", ...args] = command;
  const base = { PATH: process.env.PATH ?? "", HOME: temporaryDirectory() };
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...base, ...env } });
  const ended: Ended = { code: null, output: "" };
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (ended.output += chunk));
  ended.code = await new Promise((resolve) => child.on("close", resolve));
  return ended;
}

/** A directory as DOCKER_CERT_PATH wants it. */
function certPath(directory: string, name: string, authority: Certificates, own: Certificates | undefined): string {
  const path = join(directory, name);
  mkdirSync(path);
  symlinkSync(authority.caPath, join(path, "ca.pem"));
  if (own === undefined) return path;
  symlinkSync(own.certPath, join(path, "cert.pem"));
  symlinkSync(own.keyPath, join(path, "key.pem"));
  return path;
}

withTls(
  "mutual TLS: docker's client and ours get in with a certificate of the authority, and not without",
  async () => {
    const port = await freePort();
    const directory = temporaryDirectory();
    const ours = makeCertificates(directory, "ours");
    const theirs = makeCertificates(directory, "theirs");
    const tls = ["--tlsverify", "--tlscacert", ours.caPath, "--tlscert", ours.certPath, "--tlskey", ours.keyPath];
    const daemon = new Daemon(() => ["-H", `tcp://127.0.0.1:${port}`, ...tls]);
    await daemon.says(`listening on tcp://127.0.0.1:${port}`);
    expect(daemon.log).not.toContain("insecure");
    const good = certPath(directory, "good", ours, ours);
    const stranger = certPath(directory, "stranger", ours, theirs);
    const nobody = certPath(directory, "nobody", ours, undefined);
    const fooled = certPath(directory, "fooled", theirs, ours);
    for (const client of [[DOCKER], [lighterProgram]]) {
      const ask = (path: string, ...args: string[]) =>
        run([...client, ...args, "images", "--format", "{{.Repository}}"], {
          DOCKER_HOST: `tcp://127.0.0.1:${port}`,
          DOCKER_CERT_PATH: path,
          DOCKER_TLS_VERIFY: "1",
        });
      expect(await ask(good)).toEqual({ code: 0, output: "hello\n" });
      // As root's certificates are not the daemon's: refused by the daemon, and by the client.
      for (const path of [stranger, nobody]) {
        const { code, output } = await ask(path);
        expect({ code, output }).toMatchObject({
          code: 1,
          output: expect.stringMatching(/certificate|handshake|connect/i),
        });
      }
      expect(await ask(fooled)).toMatchObject({ code: 1, output: expect.stringMatching(/certificate/i) });
      expect(await ask(fooled, "--tlsverify=false", "--tls")).toEqual({ code: 0, output: "hello\n" });
      const plain = await run([...client, "images"], { DOCKER_HOST: `tcp://127.0.0.1:${port}` });
      expect(plain.code).toBe(1);
    }
    // Attached streams, half-closed by the client's end of stdin, over TLS.
    const command = [DOCKER, "run", "--rm", "-i", "--network=none", "hello"];
    const env = { DOCKER_HOST: `tcp://127.0.0.1:${port}`, DOCKER_CERT_PATH: good, DOCKER_TLS_VERIFY: "1" };
    expect((await run(command, env)).code).toBe(0);
  },
);

rooted("several sockets; an open door on loopback is served with a warning", async () => {
  const port = await freePort();
  const daemon = new Daemon((directory) => ["-H", `unix://${directory}/a`, "-H", `tcp://localhost:${port}`]);
  await daemon.says(`listening on tcp://localhost:${port}`);
  expect(daemon.log).toContain("binding to an IP address without --tlsverify is insecure");
  expect((await new ApiClient(join(daemon.directory, "a"), false).request("GET", "/_ping")).text).toBe("OK");
  expect(await (await fetch(`http://127.0.0.1:${port}/_ping`)).text()).toBe("OK");
  const info = (await (await fetch(`http://127.0.0.1:${port}/info`)).json()) as { Warnings: string[] };
  expect(info.Warnings).toEqual([`WARNING: API is accessible on http://localhost:${port} without encryption.`]);

  // No page that a browser of this machine shows gets in: by its origin, or by a name of its owner's that leads here.
  for (const [headers, status] of [
    ["Host: 127.0.0.1", 200],
    [`Host: [::1]:${port}`, 200],
    ["Host: docker:2375", 200],
    ["Host: api.moby.localhost", 200],
    ["Host: evil.example", 403],
    [`Host: LOCALHOST.evil.example:${port}`, 403],
    [`Host: 127.0.0.1:${port}\r\nOrigin: http://127.0.0.1:${port}`, 403],
    ["Host: 127.0.0.1\r\nOrigin: null", 403],
  ] as const)
    expect([headers, await statusOf(port, "GET", "/_ping", headers)]).toEqual([headers, status]);
  const upgrade = `Host: 127.0.0.1\r\nOrigin: http://evil.example\r\nConnection: Upgrade\r\nUpgrade:`;
  const key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13";
  expect(await statusOf(port, "GET", "/containers/a/attach/ws", `${upgrade} websocket\r\n${key}`)).toBe(403);
  expect(await statusOf(port, "POST", "/containers/a/attach", `${upgrade} tcp`)).toBe(403);
  const local = new ApiClient(join(daemon.directory, "a"), false);
  expect((await local.request("GET", "/_ping", undefined, { Host: "a.b", Origin: "http://a.b" })).status).toBe(200);
});

/** Of the answer to a request with these headers. */
async function statusOf(port: number, method: string, path: string, headers: string): Promise<number> {
  const socket = connect(port, "127.0.0.1");
  socket.write(`${method} ${path} HTTP/1.1\r\n${headers}\r\n\r\n`);
  const [first] = await once(socket, "data");
  socket.destroy();
  return Number(`${first}`.split(" ")[1]);
}

rooted("localhost is every address that /etc/hosts gives it, of those that this machine has", async () => {
  const hosts = join(temporaryDirectory(), "hosts");
  writeFileSync(hosts, "127.0.0.1 localhost\n::1 localhost\n192.0.2.1 localhost\n");
  const withHosts = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts; exec "$@"', hosts];
  const [port, metricsPort] = [await freePort(), await freePort()];
  const daemon = new Daemon(
    () => ["-H", `tcp://localhost:${port}`, `--metrics-addr=localhost:${metricsPort}`],
    withHosts,
  );
  await daemon.says(`listening on tcp://localhost:${metricsPort} for metrics`);
  await daemon.says(`listening on tcp://localhost:${port}`);
  for (const address of ["127.0.0.1", "[::1]"]) {
    expect(await (await fetch(`http://${address}:${port}/_ping`)).text()).toBe("OK");
    expect((await fetch(`http://${address}:${metricsPort}/metrics`)).status).toBe(200);
  }
});

rooted("a pidfile is one daemon's; what a killed one has left in it is no hindrance", async () => {
  const pidPath = join(temporaryDirectory(), "pid");
  writeFileSync(pidPath, `${process.pid} and something longer`); // a number that somebody has by now
  const args = (directory: string) => ["-H", `unix://${directory}/a`, "--pidfile", pidPath];
  const first = new Daemon(args);
  await first.says("listening on");
  expect(readFileSync(pidPath, "utf8")).toBe(`${first.pid}`);
  const second = new Daemon(args);
  await second.says(`pidfile: "${pidPath}" is that of a daemon which runs, process ${first.pid}`);
  expect(readFileSync(pidPath, "utf8")).toBe(`${first.pid}`);
  first.signal("SIGKILL");
  const third = new Daemon(args);
  await third.says("listening on");
  expect(readFileSync(pidPath, "utf8")).toBe(`${third.pid}`);
});

rooted("--group gives a unix socket its group; one that is not there is an error", async () => {
  const daemon = new Daemon((directory) => ["-H", `unix://${directory}/a`, "-G", "12345"]);
  await daemon.says("listening on");
  expect(statSync(join(daemon.directory, "a"))).toMatchObject({ gid: 12345, uid: 0 });
  const other = new Daemon((directory) => ["-H", `unix://${directory}/a`, "--group", "no-such-group"]);
  await other.says('group: there is no group "no-such-group"');
});

withSystemd("a socket that systemd has opened is served, and what containers start knows nothing of it", async () => {
  const daemon = new Daemon(() => ["-H", "fd://"], [SOCKET_ACTIVATE, "--listen=%d/activated", "--fdname=api"]);
  await daemon.says("Listening on"); // systemd-socket-activate: it starts the daemon when somebody connects
  const client = new ApiClient(join(daemon.directory, "activated"), false);
  expect((await client.request("GET", "/_ping")).text).toBe("OK");
  expect((await client.request("GET", "/version")).status).toBe(200);
  expect(daemon.log).toContain("listening on fd://3");
  // Every fd of that socket is closed by execve(2), or supervisors would keep it.
  const path = join(daemon.directory, "activated");
  const line = readFileSync("/proc/net/unix", "utf8")
    .split("\n")
    .find((each) => each.endsWith(` ${path}`) && / 00010000 /.test(each));
  const inode = line?.split(/ +/)[6];
  const fds = readdirSync(`/proc/${daemon.pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${daemon.pid}/fd/${fd}`) === `socket:[${inode}]`;
    } catch {
      return false; // closed since
    }
  });
  expect(fds).toHaveLength(1);
  const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/${daemon.pid}/fdinfo/${fds[0]}`, "utf8"))?.[1];
  expect(Number.parseInt(flags ?? "0", 8) & 0o2000000).toBe(0o2000000);
});

/** The families of dockerd 26, but for those of its own parts (etcd, gRPC, Go, the buffers of its log). */
const DOCKERS_FAMILIES = [
  ...["builder_builds_failed_total", "builder_builds_triggered_total", "engine_daemon_container_actions_seconds"],
  ...["engine_daemon_container_states_containers", "engine_daemon_engine_cpus_cpus", "engine_daemon_engine_info"],
  ...["engine_daemon_engine_memory_bytes", "engine_daemon_events_subscribers_total", "engine_daemon_events_total"],
  ...["engine_daemon_health_check_start_duration_seconds", "engine_daemon_health_checks_failed_total"],
  ...["engine_daemon_health_checks_total", "engine_daemon_host_info_functions_seconds"],
  ...["engine_daemon_image_actions_seconds", "engine_daemon_network_actions_seconds", "process_cpu_seconds_total"],
  ...["process_max_fds", "process_open_fds", "process_resident_memory_bytes", "process_start_time_seconds"],
  ...["process_virtual_memory_bytes", "process_virtual_memory_max_bytes"],
];

rooted("metrics are served where --metrics-addr says, for Prometheus to read", async () => {
  const port = await freePort();
  const daemon = new Daemon((directory) => ["-H", `unix://${directory}/a`, "--metrics-addr", `127.0.0.1:${port}`]);
  await daemon.says("for metrics");
  const client = new ApiClient(join(daemon.directory, "a"), false);
  const { json } = await client.request("POST", "/containers/create", { Image: "hello" });
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  for (const line of [
    'engine_daemon_container_actions_seconds_count{action="create"} 1',
    'engine_daemon_container_actions_seconds_bucket{action="create",le="+Inf"} 1',
    'engine_daemon_container_states_containers{state="stopped"} 1',
    'lighter_containers{status="created"} 1',
    "lighter_supervisors 0",
    "lighter_container_start_seconds_count 0",
  ])
    expect(text.split("\n")).toContain(line);
  expect(checkMetrics(text)).toEqual([]);
  const created = 'method="POST",route="/containers/create",code="201"';
  expect(text).toContain(`lighter_api_request_seconds_count{${created}} 1\n`);
  expect((await client.request("GET", "/no/such/path")).status).toBe(404);
  expect((await client.request("GET", `/containers/${json.Id}x/json`)).status).toBe(404);
  const later = await (await fetch(`http://127.0.0.1:${port}/metrics?a=b`)).text();
  expect(later).toContain('lighter_api_request_seconds_count{method="none",route="none",code="404"} 1\n');
  expect(later).toContain('_count{method="GET",route="/containers/{id...}/json",code="404"} 1\n');
  for (const name of DOCKERS_FAMILIES) expect(later).toContain(`# TYPE ${name} `);
  const board = readFileSync(join(import.meta.dirname, "../../packaging/grafana/lighter.json"), "utf8");
  const ofContainers = await (await fetch(`http://127.0.0.1:${port}/metrics/containers?labels=a,b`)).text();
  expect(checkMetrics(ofContainers)).toEqual([]);
  expect(ofContainers).toContain("# TYPE container_cpu_usage_seconds_total counter");
  for (const [name] of board.matchAll(/\b(lighter|container|engine|builder|process)_[a-z_]+/g))
    expect(`${later}${ofContainers}`).toContain(`# TYPE ${name.replace(/_(bucket|count)$/, "")} `);
  expect((await fetch(`http://127.0.0.1:${port}/info`)).status).toBe(404);
  expect(await statusOf(port, "GET", "/metrics", "Host: evil.example")).toBe(403);
  expect((await client.request("DELETE", `/containers/${json.Id}`)).status).toBe(204);
});

rooted("fd:// without such a socket is an error", async () => {
  const daemon = new Daemon(() => ["-H", "fd://"]);
  await daemon.says("no sockets found via socket activation");
});

rooted("SIGHUP: what Docker reloads counts, a mistake changes nothing, the rest waits for a restart", async () => {
  const daemon = new Daemon((directory) => {
    writeFileSync(join(directory, "daemon.json"), '{"labels": ["a=1"]}');
    return ["-H", `unix://${directory}/a`, "--config-file", join(directory, "daemon.json"), "--log-format=json"];
  });
  await daemon.says("listening on");
  const client = new ApiClient(join(daemon.directory, "a"), false);
  const info = async () => (await client.request("GET", "/info")).json;
  expect(await info()).toMatchObject({ Labels: ["a=1"], Debug: false });
  const path = join(daemon.directory, "daemon.json");
  writeFileSync(path, '{"labels": ["b=2"], "debug": true, "insecure-registries": ["r:1"], "init": true}');
  daemon.signal("SIGHUP");
  await daemon.says("Reloaded configuration");
  expect(daemon.log).toContain("changed, and needs a restart to count: init");
  const reloaded = await info();
  expect(reloaded).toMatchObject({ Labels: ["b=2"], Debug: true });
  expect(reloaded.RegistryConfig.IndexConfigs["r:1"]).toMatchObject({ Secure: false });
  await daemon.says("Calling GET /info");
  const { text } = await client.request("GET", `/events?since=0&until=${Math.floor(Date.now() / 1000) + 1}`);
  const attributes = { labels: '["b=2"]', debug: "true", "insecure-registries": '["r:1"]' };
  expect(JSON.parse(text)).toMatchObject({ Type: "daemon", Action: "reload", Actor: { Attributes: attributes } });
  writeFileSync(path, '{"labels": ["c"]}');
  daemon.signal("SIGHUP");
  await daemon.says("bad attribute format: c");
  expect(await info()).toMatchObject({ Labels: ["b=2"], Debug: true });
  for (const line of daemon.log.trim().split("\n")) expect(JSON.parse(line)).toHaveProperty("level");
});

rooted("--validate says whether the configuration is right, and starts nothing", async () => {
  const directory = temporaryDirectory();
  const path = join(directory, "daemon.json");
  writeFileSync(path, '{"debug": true}');
  const validate = () => run([daemonProgram, "daemon", "--validate", "--config-file", path], {});
  expect(await validate()).toEqual({ code: 0, output: "configuration OK\n" });
  writeFileSync(path, '{"bugs": true}');
  expect(await validate()).toEqual({
    code: 125,
    output: `lighter daemon: configuration "${path}": the following directives don't match any configuration option: bugs\n`,
  });
  expect(readFileSync(path, "utf8")).toBe('{"bugs": true}');
});
