/**
 * What goes over the socket: our command line and the stock one, given the same arguments, must send the same requests.
 * A recorder answers both as a daemon would that knows nothing.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing } from "../support/missing.ts";
import { describeIf } from "../support/test-if.ts";
import { lighterCommand, runProgram } from "./cli-support.ts";

interface Recorded {
  method: string;
  path: string;
  /** Every value of each name. */
  query: Record<string, string[]>;
  /** The registry's credentials. */
  auth: string | undefined;
  body: unknown;
}

const folder = mkdtempSync(join(tmpdir(), "lighter-recorder-"));
const socketPath = join(folder, "recorder.sock");
let requests: Recorded[] = [];
let server: Server;

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** Just enough of a daemon that commands get as far as their last request. */
function answer(method: string, path: string): [status: number, body: unknown] {
  if (path === "/_ping") return [200, "OK"];
  if (method === "GET" && path === "/containers/web/json")
    return [200, { Id: "web", Config: { Tty: false, OpenStdin: true }, State: { Running: true }, HostConfig: {} }];
  if (method === "POST" && path === "/containers/create") return [201, { Id: "created", Warnings: [] }];
  if (path.endsWith("/wait")) return [200, { StatusCode: 0 }];
  if (path === "/images/search") return [200, []];
  if (path.endsWith("/prune")) return [200, { ImagesDeleted: null, SpaceReclaimed: 0 }];
  if (path === "/commit") return [201, { Id: "sha256:1" }];
  if (path === "/containers/web/exec") return [201, { Id: "exec1" }];
  if (path.endsWith("/start") && !path.startsWith("/exec")) return [204, undefined];
  if (path.endsWith("/json") && method === "GET") return [200, path.startsWith("/images/n") ? {} : []];
  return [500, { message: "recorded" }];
}

beforeAll(async () => {
  server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "", "http://x");
    const path = url.pathname.replace(/^\/v1\.45/, "");
    const text = await readBody(request);
    if (path !== "/_ping") {
      const isJson = request.headers["content-type"] === "application/json";
      const query = Object.fromEntries([...url.searchParams.keys()].map((key) => [key, url.searchParams.getAll(key)]));
      const auth = request.headers["x-registry-auth"]?.toString();
      requests.push({ method: request.method ?? "", path, query, auth, body: isJson ? JSON.parse(text) : text });
    }
    const [status, body] = answer(request.method ?? "", path);
    response.writeHead(status, { "Api-Version": "1.45", Ostype: "linux", "Content-Type": "application/json" });
    response.end(request.method === "HEAD" || body === undefined ? undefined : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
});

afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

async function record(argv: readonly string[]): Promise<Recorded[]> {
  requests = [];
  await runProgram(argv, {
    env: { DOCKER_HOST: `unix://${socketPath}`, DOCKER_CONFIG: folder, PASSED_ON: "from outside" },
    cwd: folder,
  });
  return requests;
}

const whyNot = missing("docker");

interface CreateBody {
  Env?: string[] | null;
  HostConfig?: { Binds?: string[] | null };
}

/** Filters are JSON in any order of keys; Docker passes -e and -v through maps, which shuffles them. */
function normalize(all: Recorded[]): unknown[] {
  return all.map(({ query, body, ...rest }) => {
    // Docker's client tells some routes that there are no filters.
    const { filters: [text = ""] = [], ...others } = query;
    const filters = text === "" ? {} : { filters: JSON.parse(text) };
    const { Env, HostConfig } = (body ?? {}) as CreateBody;
    Env?.sort();
    HostConfig?.Binds?.sort();
    return { ...rest, query: { ...others, ...filters }, body };
  });
}

const containerCases: readonly (readonly string[])[] = [
  ["busybox"],
  ["-it", "--", "busybox", "-x", "--y"],
  ["-i", "busybox"],
  ["-a", "stdin", "-a", "STDERR", "busybox"],
  ["-e", "A=1", "-eB=2", "-e=C=3", "--env", "PASSED_ON", "-e", "NOT_SET", "busybox", "env"],
  ["--env-file", "env.list", "--label-file", "labels.list", "-l", "c", "--label=d=e=f", "busybox"],
  ["-v", "/a:/b", "-v", "/a:/b:ro,rshared,z", "-v", "/anon", "-v", "./here:/x", "-v", "vol:/v:nocopy", "busybox"],
  ["--tmpfs", "/t", "--tmpfs", "/u:size=1m,mode=1777", "busybox"],
  ["--mount", "type=bind,src=/a,dst=/b,readonly,bind-propagation=rslave,bind-recursive=disabled", "busybox"],
  ["--mount", "type=bind,source=./x,target=/b,bind-nonrecursive=true,consistency=cached", "busybox"],
  ["--mount", "type=bind,src=/a,dst=/b,ro,bind-recursive=readonly,bind-propagation=rprivate", "busybox"],
  ["--mount", "type=tmpfs,dst=/c,tmpfs-size=1m,tmpfs-mode=1777", "busybox"],
  ["--mount", "type=volume,src=v,dst=/w,volume-nocopy,volume-label=a=b,volume-driver=d,volume-opt=x=y", "busybox"],
  ["--mount", 'src=v,dst=/w,"volume-opt=o=a,b"', "--mount", "dst=/anon,volume-subpath=s", "busybox"],
  ["--ulimit", "nofile=10:20", "--ulimit", "nofile=1024:2048", "busybox"],
  ["--ulimit", "core=-1", "busybox"],
  ["--sysctl", "net.a=1", "--sysctl", "kernel.shmmax=2", "--sysctl", "fs.mqueue.x=3", "busybox"],
  ["--device", "/dev/null", "--device", "/dev/null:/dev/x", "--device", "/dev/null:r", "busybox"],
  ["--device", "/dev/null:/dev/x:rw", "--device", "/dev/null/", "--device", "/dev/a:/dev//b/", "busybox"],
  ["--device-cgroup-rule", "c 1:* rwm", "--device-cgroup-rule=b *:* m", "busybox"],
  ["--blkio-weight", "300", "--blkio-weight-device", "/dev/sda:100", "busybox"],
  ["--cpus", "1.5", "-c", "512", "--cpuset-cpus", "0-1", "--cpuset-mems", "0", "busybox"],
  ["--cpus", "3/4", "--cpu-period", "0x10", "--cpu-quota", "-1", "busybox"],
  ["--cpus", "1e-2", "--cpu-rt-period", "7", "--cpu-rt-runtime", "8", "busybox"],
  ["-m", "100m", "--memory-reservation", "1.5g", "--memory-swap", "-1", "--memory-swappiness", "60", "busybox"],
  ["-m512k", "--memory-swap=2GiB", "--shm-size", "64 MB", "--oom-kill-disable", "busybox"],
  ["--oom-score-adj", "-500", "--pids-limit", "-1", "busybox"],
  ["--cap-add", "ALL", "--cap-drop", "net_raw", "--privileged", "--read-only", "busybox"],
  ["--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined", "busybox"],
  ["--security-opt", "no-new-privileges:false", "--security-opt", "seccomp=profile.json", "busybox"],
  ["--security-opt", "systempaths=unconfined", "busybox"],
  ["--security-opt", "label=disable", "--security-opt", "apparmor:x", "--security-opt", "seccomp=builtin", "busybox"],
  ["--pid", "host", "--ipc", "shareable", "--uts", "host", "--cgroupns", "private", "--userns", "host", "busybox"],
  ["--pid", "container:x", "--ipc", "container:y", "--network", "container:z", "busybox"],
  ["--network", "none", "busybox"],
  ["--net", "host", "busybox"],
  ["--network", "front", "--network-alias", "a", "--net-alias", "b", "--ip", "10.0.0.3", "--link", "x:y", "busybox"],
  ["--network", "name=front,alias=web,ip=10.0.0.3,driver-opt=a=b", "--network", "back", "busybox"],
  ["--mac-address", "92:d0:c6:0a:29:33", "--ip6", "2001:db8::33", "--link-local-ip", "169.254.1.1", "busybox"],
  ["--dns", "1.1.1.1", "--dns-opt", "a", "--dns-option", "b", "--dns-search", "example.com", "busybox"],
  ["--add-host", "a:1.2.3.4", "--add-host", "b=::1", "--add-host", "c:host-gateway", "busybox"],
  ["-p", "80", "-p", "8080:80", "-p", "127.0.0.1:53:53/udp", "-p", "[::1]:90:90", "-P", "busybox"],
  ["-p", "8000-8002:80-82", "-p", "9000-9010:99", "-p", "published=1,target=2,protocol=udp", "busybox"],
  ["--expose", "90-92", "--expose", "70/udp", "busybox"],
  ["--init", "--stop-signal", "INT", "--stop-timeout", "3", "--name", "web", "--platform", "linux/amd64", "busybox"],
  ["--init=false", "--stop-timeout=0", "busybox"],
  ["--restart", "on-failure:3", "--log-driver", "json-file", "--log-opt", "max-size=1m", "busybox"],
  ["--rm", "--restart", "no", "--runtime", "runc", "--isolation", "default", "--cgroup-parent", "/x", "busybox"],
  ["--health-cmd", "true", "--health-interval", "1m30s", "--health-retries", "3", "busybox"],
  ["--health-timeout", "1.5h", "--health-start-period", "10ms", "--health-start-interval", "5us", "busybox"],
  ["--no-healthcheck", "--entrypoint", "", "busybox"],
  ["--entrypoint", "/bin/sh", "-u", "1:2", "-w", "/x", "-h", "host", "--domainname", "d", "busybox", "-c", "x"],
  ["--group-add", "a", "--group-add", "b", "--volumes-from", "x:ro", "--volume-driver", "vd", "busybox"],
  ["--annotation", "a=b", "--storage-opt", "size=1G", "--userns=", "busybox"],
  ["--gpus", "all", "busybox"],
  ["--device", "vendor.com/class=name", "--device", "/dev/null", "--gpus", "1", "--device", "ab.c/de=f", "busybox"],
  ["--gpus", "2,driver=d", "--gpus", "1", "busybox"],
  ["--gpus", '"device=0,1","capabilities=a,b",options=x=y', "--gpus", "driver=nvidia", "busybox"],
  ["--kernel-memory", "5m", "busybox"],
  ["localhost:5000/a/b:tag"],
  ["busybox@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
];

const otherCases: readonly (readonly string[])[] = [
  ["run", "-d", "--name", "x", "busybox"],
  ["run", "-dit", "busybox"],
  ["ps"],
  ["ps", "-a", "--filter", "status=running", "--filter", "label=a", "-f", "label=b", "-f", "Name=x=y"],
  ["ps", "-n", "3", "-s"],
  ["ps", "-l"],
  ["ps", "-n", "0"],
  ["ps", "--format", "{{.Size}}"],
  ["ps", "--format", "{{json .}}"],
  ["logs", "web"],
  ["logs", "-f", "-t", "--details", "-n3", "--since", "1700000000.5", "--until", "2024-01-02T03:04:05.123Z", "web"],
  ["logs", "--since", "2024-01-02", "web"],
  ["exec", "-e", "A=1", "-u", "1", "-w", "/x", "--privileged", "web", "a", "-b"],
  ["exec", "-d", "--detach-keys", "ctrl-a", "web", "a"],
  ["exec", "-i", "web", "a"],
  ["stop", "a"],
  ["stop", "-t", "0", "-s", "INT", "a"],
  ["stop", "--time=-1", "a/b"],
  ["kill", "a"],
  ["kill", "-s", "9", "a"],
  ["rm", "a"],
  ["rm", "-fv", "/a"],
  ["rm", "-l", "a"],
  ["wait", "a"],
  ["start", "a"],
  ["start", "-ai", "--detach-keys", "x", "web"],
  ["attach", "--no-stdin", "web"],
  ["inspect", "nothing"],
  ["inspect", "--type", "container", "-s", "web"],
  ["inspect", "--type", "image", "localhost:5000/a/b:tag"],
  ["images"],
  ["images", "-a", "--filter", "dangling=true", "foo*"],
  ["rmi", "a"],
  ["rmi", "-f", "--no-prune", "localhost:5000/a/b:tag@sha256:00"],
  ["load", "-q", "-i", "some.tar"],
  ["pull", "busybox"],
  ["pull", "-a", "docker.io/library/busybox"],
  ["pull", "--platform", "Linux/AMD64", "r.example/a:b"],
  ["pull", `r.example/a@sha256:${"0".repeat(64)}`],
  ["pull", "old.example/a"],
  ["pull", "token.example/a"],
  ["pull", "unknown.example/a"],
  ["push", "busybox:1"],
  ["push", "-a", "r.example/a/b"],
  ["tag", "a", "index.docker.io/c"],
  ["tag", "busybox", "r.example:5000/library/c:d"],
  ["search", "--limit", "5", "-f", "stars=3", "-f", "is-official=true", "r.example/a"],
  ["search", "busybox"],
  ["history", "r.example/a/b:c"],
  ["save", "a", "b/c"],
  ["export", "web"],
  ["diff", "web"],
  ["commit", "-a", "me", "-m", "said", "-p=false", "-c", "A b", "-c", "C d", "web", "r.example/a/b"],
  ["commit", "web"],
  ["import", "-m", "said", "-c", "A b", "-c", "C d", "--platform", "Linux/x", "some.tar", "a:b"],
  ["import", "http://h.example/x.tar"],
  ["image", "prune", "-f"],
  ["image", "prune", "-af", "--filter", "label=a", "--filter", "until=1h"],
  ["image", "inspect", "a"],
  ["image", "ls", "-f", "dangling=true"],
  ["login", "-u", "me", "-p", "secret", "https://r.example/v2/"],
  ["login", "r.example"],
  ["run", "--pull", "always", "--platform", "linux/x", "r.example/a"],
  ["info"],
  ["version"],
  ["container", "ls", "-a"],
  ["container", "inspect", "-s", "web"],
  ["pause", "b/c"],
  ["unpause", "a"],
  ["rename", " a ", " b "],
  ["restart", "a"],
  ["restart", "-t", "0", "-s", "INT", "a"],
  ["top", "a"],
  ["top", "a", "-o", "pid,cmd", "-x"],
  ["port", "web"],
  ["update", "--cpus", "1.5", "-m", "100m", "--memory-swap", "-1", "--restart", "on-failure:3", "a"],
  ["update", "--blkio-weight", "100", "--cpu-period", "7", "--cpu-quota", "-1", "--pids-limit", "-1", "a"],
  ["update", "--cpuset-cpus", "0", "--cpuset-mems", "0", "-c", "3", "--memory-reservation", "6m", "a"],
  ["update", "--cpu-rt-period", "3", "--cpu-rt-runtime", "4", "--restart", "no", "--pids-limit", "0", "a"],
  ["container", "prune", "-f", "--filter", "until=1h", "--filter", "label=a"],
  ["container", "prune", "-f"],
  ["volume", "create"],
  ["volume", "create", "-d", "x", "--label", "a", "--label", "b=c=d", "-o", "e=f", "-o", "e=g", "v"],
  ["volume", "create", "--name", "v"],
  ["volume", "ls", "-f", "dangling=1"],
  ["volume", "inspect", "v"],
  ["volume", "rm", "-f", "v"],
  ["volume", "rm", "v"],
  ["volume", "prune", "-f"],
  ["volume", "prune", "-af", "--filter", "label=x"],
  ["network", "ls", "-f", "driver=bridge"],
  ["network", "create", "n"],
  ["network", "create", "-d", "macvlan", "-o", "parent=eth0", "--label", "a=b", "--scope", "local", "--ipv6", "n"],
  ["network", "create", "--subnet", "10.0.0.0/8", "--ip-range", "10.1.0.0/16", "--gateway", "10.0.0.1", "n"],
  ["network", "create", "--subnet", "2001:db8::/64", "--gateway", "2001:db8::1", "--aux-address", "a=2001:db8::2", "n"],
  ["network", "create", "--attachable", "--internal", "--ingress", "--config-only", "--ipam-driver", "i", "n"],
  ["network", "create", "--config-from", "x", "--ipam-opt", "a=b", "n"],
  ["network", "connect", "n", "web"],
  ["network", "connect", "--ip", "10.0.0.2", "--ip6", "::1", "--link", "a:b", "--link", "c", "n", "web"],
  ["network", "connect", "--alias", "a,b", "--link-local-ip", "169.254.1.1", "--driver-opt", "A=b", "n", "web"],
  ["network", "disconnect", "-f", "n", "web"],
  ["network", "inspect", "-v", "n"],
  ["network", "rm", "n"],
  ["network", "prune", "-f", "--filter", "until=1h"],
  ["system", "df"],
  ["system", "prune", "-f"],
  ["system", "prune", "-af", "--volumes", "--filter", "label=a", "--filter", "label!=b"],
  ["system", "info"],
  ["events", "--filter", "type=image", "--since", "1700000000", "--until", "2024-01-02T03:04:05Z"],
  ["stats", "--no-stream", "web"],
  ["stats", "--no-stream", "-a"],
];

describeIf(whyNot)("requests", () => {
  beforeAll(() => {
    writeFileSync(
      join(folder, "env.list"),
      "\ufeff# comment\n  A=1\n\nPASSED_ON\nNOT_SET\nB= x # not a comment\r\nC=\n",
    );
    writeFileSync(join(folder, "labels.list"), "a=b\nlone\n");
    writeFileSync(join(folder, "profile.json"), '{ "defaultAction": "SCMP_ACT_ALLOW",\n "syscalls": [ ] }\n');
    writeFileSync(join(folder, "some.tar"), "not really a tar");
    const auth = (text: string) => ({ auth: Buffer.from(text).toString("base64") });
    const auths = {
      "https://index.docker.io/v1/": { ...auth("hub:y??>"), email: "a@b" },
      "http://old.example/v1/": auth("old:p:w"),
      "token.example": { identitytoken: "token" },
      "r.example": { ...auth("r:r"), registrytoken: "token" },
    };
    writeFileSync(join(folder, "config.json"), JSON.stringify({ auths }));
  });

  test.each(containerCases.map((args) => [args.join(" "), args] as const))("create %s", async (_name, args) => {
    await compare(["create", ...args]);
  });
  // Debian's docker 26.1.5 drops these four on the way, so there is nothing to compare with.
  test("create sends the rates of devices", async () => {
    const rates = [
      "--device-read-bps",
      "/dev/a:1mb",
      "--device-write-bps",
      "/dev/a:2",
      "--device-read-iops",
      "/dev/b:3",
    ];
    const [request] = await record([...lighterCommand, "create", ...rates, "--device-write-iops", "/dev/b:4", "x"]);
    expect(request?.body).toMatchObject({
      HostConfig: {
        BlkioDeviceReadBps: [{ Path: "/dev/a", Rate: 1048576 }],
        BlkioDeviceWriteBps: [{ Path: "/dev/a", Rate: 2 }],
        BlkioDeviceReadIOps: [{ Path: "/dev/b", Rate: 3 }],
        BlkioDeviceWriteIOps: [{ Path: "/dev/b", Rate: 4 }],
      },
    });
  });

  test.each(otherCases.map((args) => [args.join(" "), args] as const))("%s", async (_name, args) => {
    await compare(args);
  });
});

/** What we leave out on purpose. */
function isNeedless(argv: readonly string[], { method, path }: Recorded): boolean {
  const [command] = argv;
  // Nobody reads the exit code of a container that runs in the background.
  if (command === "run") return path.endsWith("/wait");
  // exec: creating it says as well that there is no such container, and saves a round trip.
  if (command === "exec") return method === "GET";
  // Our daemon's networks are never those of a swarm, which Docker's client asks about first.
  if (command === "network" && argv[1] === "rm") return method === "GET";
  // One picture does not change.
  if (command === "stats" && argv[1] === "--no-stream") return path === "/events";
  // We wait and attach side by side; Docker's attach waits earlier, its start only when attaching went well.
  return (command === "attach" || command === "start") && path.endsWith("/wait");
}

async function compare(args: readonly string[]): Promise<void> {
  const theirs = await record(["docker", ...args]);
  const ours = await record([...lighterCommand, ...args]);
  expect(theirs.length).toBeGreaterThan(0);
  const needed = (all: Recorded[]) => normalize(all.filter((request) => !isNeedless(args, request)));
  expect(needed(ours)).toEqual(needed(theirs));
}
