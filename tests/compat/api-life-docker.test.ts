/** What happens to containers, asked of our daemon and of dockerd with the same requests: states, answers, events. */
import { afterAll, beforeAll, expect } from "bun:test";
import { join } from "node:path";
import { ApiClient } from "../support/api-client.ts";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { rawTar } from "../support/image-tar.ts";
import { testIf } from "../support/test-if.ts";
import { PrivateDocker, whyNoDocker } from "./cli-support.ts";

const why = whyNoDocker();
const both = testIf(why === undefined, why ?? "");

let docker: PrivateDocker;
let ours: TestDaemon;
let theirs: ApiClient;

beforeAll(async () => {
  if (why !== undefined) return;
  docker = await PrivateDocker.start();
  theirs = new ApiClient(join(docker.folder, "docker.sock"), false);
  theirs.image = "busybox";
  ours = await TestDaemon.start();
}, 120_000);

afterAll(async () => {
  await docker?.stop();
  await ours?.[Symbol.asyncDispose]();
}, 60_000);

/** A script of requests, and what of the answers is to be the same. */
type Story = (
  api: ApiClient,
  run: (command: string, body?: object, host?: object) => Promise<string>,
) => Promise<unknown>;

async function tell(story: Story): Promise<[ours: unknown, theirs: unknown]> {
  const results: unknown[] = [];
  for (const api of [ours, theirs] as ApiClient[]) {
    const host = api === ours ? hostUsr : { NetworkMode: "none" };
    const ids: string[] = [];
    const run = async (command: string, body: object = {}, more: object = {}) => {
      const Cmd = ["/bin/sh", "-c", command];
      const id = await api.run({ Cmd, StopTimeout: 1, ...body, HostConfig: { ...host, ...more } }, `life${ids.length}`);
      ids.push(id);
      return id;
    };
    try {
      results.push(await story(api, run));
    } finally {
      for (const id of ids) await api.request("DELETE", `/containers/${id}?force=1`);
    }
  }
  return results as [unknown, unknown];
}

function same(name: string, story: Story): void {
  both(
    name,
    async () => {
      const [mine, dockers] = await tell(story);
      expect(mine).toEqual(dockers);
    },
    30_000,
  );
}

async function untilStatus(api: ApiClient, id: string, status: string): Promise<void> {
  await until(async () => (await api.inspect(id)).State.Status === status, `it is ${status}`);
}

/** Status and message, with the container's id taken out. */
async function said(api: ApiClient, id: string, method: string, path: string, body?: object): Promise<string> {
  const { status, json } = await api.request(method, `/containers/${id}${path}`, body);
  return `${status} ${json?.message ?? ""}`.replaceAll(id, "ID");
}

/** A state without what differs from run to run. Docker may date the end of what is short before its start. */
async function stateOf(api: ApiClient, id: string): Promise<object> {
  const { State, RestartCount } = await api.inspect(id);
  const { Pid, StartedAt, FinishedAt, ...rest } = State;
  const [hasStarted, hasFinished] = [StartedAt, FinishedAt].map((time) => !time.startsWith("0001-"));
  return { ...rest, hasPid: Pid > 0, hasStarted, hasFinished, RestartCount };
}

/** Actions and attributes of a container's events, without the network's and what is never the same. */
async function eventsOf(api: ApiClient, id: string): Promise<string[]> {
  const filters = encodeURIComponent(JSON.stringify({ container: [id], type: ["container"] }));
  const now = (Date.now() / 1000 + 0.005).toFixed(3);
  const { text } = await api.request("GET", `/events?since=1&until=${now}&filters=${filters}`);
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.map((line) => {
    const { Action, Actor, status, from } = JSON.parse(line);
    const { execDuration: _, execID, image, ...attributes } = Actor.Attributes;
    expect([status, from]).toEqual([Action, image]);
    return `${Action} ${JSON.stringify({ ...attributes, ...(execID === undefined ? {} : { execID: "…" }) })}`;
  });
}

same("pausing: states, refusals, a stop", async (api, run) => {
  const id = await run("exec sleep 1000", { Labels: { b: "2" } });
  const told = [await said(api, id, "POST", "/pause"), await said(api, id, "POST", "/pause")];
  const paused = await stateOf(api, id);
  for (const [method, path, body] of [
    ["POST", "/start"],
    ["POST", "/exec", { Cmd: ["true"] }],
    ["DELETE", ""],
    ["POST", "/kill?signal=CONT"],
  ] as const)
    told.push(await said(api, id, method, path, body));
  await until(async () => !(await api.inspect(id)).State.Paused, "it goes on"); // dockerd is told of it by containerd
  const continued = await stateOf(api, id);
  told.push(await said(api, id, "POST", "/unpause"), await said(api, id, "POST", "/pause"));
  told.push(await said(api, id, "POST", "/stop?t=0"), await said(api, id, "POST", "/unpause"));
  told.push(await said(api, id, "POST", "/pause"));
  return { told, paused, continued, ended: await stateOf(api, id) };
});

same("a restart policy: states, refusals, events, a stop", async (api, run) => {
  const id = await run("exit 3", {}, { RestartPolicy: { Name: "always" } });
  await until(async () => {
    const { State, RestartCount } = await api.inspect(id);
    return State.Status === "restarting" && RestartCount === 3; // 800 ms to go
  }, "it waits for the fourth start");
  const waiting = await stateOf(api, id);
  const told: string[] = [];
  for (const [method, path, body] of [
    ["POST", "/start"],
    ["POST", "/pause"],
    ["POST", "/exec", { Cmd: ["true"] }],
    ["GET", "/top"],
    ["DELETE", ""],
    ["POST", "/stop"],
    ["POST", "/stop"],
  ] as const)
    told.push(await said(api, id, method, path, body));
  return { waiting, told, stopped: await stateOf(api, id), events: await eventsOf(api, id) };
});

same("on-failure:1", async (api, run) => {
  const id = await run("exit 3", {}, { RestartPolicy: { Name: "on-failure", MaximumRetryCount: 1 } });
  await until(async () => {
    const { State, RestartCount } = await api.inspect(id);
    return State.Status === "exited" && RestartCount === 1;
  }, "it has ended twice");
  return { state: await stateOf(api, id), events: await eventsOf(api, id) };
});

same("a health check from starting to unhealthy to healthy, in state, list and events", async (api, run) => {
  const Test = ["CMD-SHELL", "echo hi; test -e /ok"];
  const id = await run("exec sleep 1000", { Healthcheck: { Test, Interval: 200e6, Retries: 2 } });
  const health = async () => {
    const { Status, FailingStreak, Log } = (await api.inspect(id)).State.Health;
    const results = Log.map(({ ExitCode, Output }: { ExitCode: number; Output: string }) => [ExitCode, Output]);
    return { Status, FailingStreak, results };
  };
  const seen = [await health()];
  await until(async () => (await health()).Status === "unhealthy", "it is unhealthy");
  seen.push(await health());
  const listed = (await api.request("GET", "/containers/json")).json[0].Status.replace(/^Up .* \(/, "(");
  const exec = (await api.request("POST", `/containers/${id}/exec`, { Cmd: ["touch", "/ok"] })).json.Id;
  await api.request("POST", `/exec/${exec}/start`, { Detach: true });
  await until(async () => (await health()).Status === "healthy", "it is healthy");
  await api.request("POST", `/containers/${id}/kill`);
  await untilStatus(api, id, "exited");
  const { Status } = await health();
  const events = (await eventsOf(api, id)).filter((line) => /^(health|create|start|kill|die)/.test(line));
  return { seen, listed, Status, events };
});

same("a health check that takes too long", async (api, run) => {
  const Healthcheck = { Test: ["CMD-SHELL", "echo begin; sleep 5"], Interval: 100e6, Timeout: 300e6, Retries: 1 };
  const id = await run("exec sleep 1000", { Healthcheck });
  const health = async () => (await api.inspect(id)).State.Health;
  await until(async () => (await health()).Status === "unhealthy", "it is unhealthy");
  const { ExitCode, Output } = (await health()).Log[0];
  return { ExitCode, Output };
});

same("an update: limits that the process meets, and what inspect says", async (api, run) => {
  const id = await run("exec sleep 1000");
  const told = [];
  for (const body of [
    { Memory: 64 << 20, MemorySwap: 128 << 20, CpuShares: 512, PidsLimit: 50 },
    { NanoCpus: 5e8 },
    { CpuQuota: 50_000 },
    { CpusetCpus: "99" },
    { PidsLimit: -1 },
    { RestartPolicy: { Name: "unless-stopped" } },
    {},
  ])
    told.push((await api.request("POST", `/containers/${id}/update`, body)).text.replaceAll(id, "ID").trim());
  const { HostConfig } = await api.inspect(id);
  const { Memory, MemorySwap, CpuShares, NanoCpus, PidsLimit, RestartPolicy } = HostConfig;
  const { memory_stats } = (await api.request("GET", `/containers/${id}/stats?stream=0&one-shot=1`)).json;
  return { told, Memory, MemorySwap, CpuShares, NanoCpus, PidsLimit, RestartPolicy, limit: memory_stats.limit };
});

same("top: titles, rows, and what ps refuses", async (api, run) => {
  const id = await run("exec sleep 1000");
  const of = async (query: string) => {
    const { status, json } = await api.request("GET", `/containers/${id}/top${query}`);
    return [status, json.message ?? [json.Titles, json.Processes.map((row: string[]) => row.at(-1))]];
  };
  await until(async () => JSON.stringify(await of("")).includes('["sleep 1000"]'), "sleep runs");
  const answers = [
    await of(""),
    await of("?ps_args=aux"),
    await of("?ps_args=-o%20pid,args"),
    await of("?ps_args=-o%20args"),
  ];
  return [...answers, await of("?ps_args=--nonsense"), await of("?ps_args=-o%20ppid%3DPID")];
});

/** The names of all fields; of lists, of their first element. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf);
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shapeOf(each)]));
}

same("statistics: every field, with and without a sample before", async (api, run) => {
  const id = await run("exec sleep 1000");
  const { json: two } = await api.request("GET", `/containers/${id}/stats?stream=0`);
  expect(Date.parse(two.read) - Date.parse(two.preread)).toBeGreaterThan(900);
  const { id: _, name: __, ...once } = (await api.request("GET", `/containers/${id}/stats?stream=0&one-shot=1`)).json;
  await api.request("POST", `/containers/${id}/kill`);
  const { json: none } = await api.request("GET", `/containers/${id}/stats?stream=0`);
  return { two: shapeOf(two), pids: two.pids_stats, once: shapeOf(once), none: { ...none, id: "" } };
});

same("a process that the kernel killed for its memory", async (api, run) => {
  for (let attempt = 1; ; attempt++) {
    const id = await run("exec tail /dev/zero", {}, { Memory: 32 << 20, MemorySwap: 32 << 20 });
    await untilStatus(api, id, "exited");
    const events = (await eventsOf(api, id)).map((line) => line.split(" ")[0]);
    // dockerd tells of it before the end, or after, or twice, or not at all if the end was told first: ours is to tell each time.
    if (api === theirs && !events.includes("oom") && attempt < 5) continue;
    return { state: await stateOf(api, id), events: [...new Set(events)].sort() };
  }
});

same("events of an attach from which keys detach", async (api, run) => {
  const id = await run("cat", { Tty: true, OpenStdin: true });
  const attached = await api.hijack(`/containers/${id}/attach?stream=1&stdin=1&stdout=1&detachKeys=a`);
  attached.socket.write("a");
  await until(async () => (await eventsOf(api, id)).some((line) => line.startsWith("detach")), "a detach is told of");
  attached.socket.destroy();
  await api.request("POST", `/containers/${id}/resize?h=10&w=20`);
  return await eventsOf(api, id);
});

same("events of an exec, a rename, a restart and a removal", async (api, run) => {
  const id = await run("trap 'exit 5' TERM; while :; do sleep 0.1; done", { Labels: { a: "1" } });
  const exec = (await api.request("POST", `/containers/${id}/exec`, { Cmd: ["sh", "-c", "exit 3"] })).json.Id;
  await api.request("POST", `/exec/${exec}/start`, { Detach: true });
  await until(async () => (await api.request("GET", `/exec/${exec}/json`)).json.ExitCode === 3, "the exec has ended");
  await api.request("POST", `/containers/${id}/rename?name=renamed`);
  await api.request("DELETE", `/containers/${id}?force=1`);
  return await eventsOf(api, id);
});

same("what is refused names the container as it was asked for, and the signal", async (api, run) => {
  const id = await run("exec sleep 1000");
  const told = [await said(api, "none-such", "POST", "/kill"), await said(api, "none-such", "POST", "/stop")];
  for (const signal of ["99", "-1", "0", "SIGFOO"]) told.push(await said(api, id, "POST", `/kill?signal=${signal}`));
  for (const name of ["bad!", "/bad!", ""]) told.push(await said(api, id, "POST", `/rename?name=${name}`));
  const stop = (await said(api, id, "POST", "/stop?signal=FOO")).replace(/^\d+/, ""); // 500 there
  return { told, stop, link: await said(api, id, "DELETE", "?link=1"), state: await stateOf(api, id) };
});

same("a process without a terminal has no size, which is no error", async (api, run) => {
  const id = await run("exec sleep 1000");
  return [await said(api, id, "POST", "/resize?h=10&w=20"), await eventsOf(api, id)];
});

same("an exec of what cannot be executed ends with 126", async (api, run) => {
  const id = await run("exec sleep 1000");
  const codes: number[] = [];
  for (const program of ["none-such", "/etc/passwd", "/etc"]) {
    const exec = (await api.request("POST", `/containers/${id}/exec`, { Cmd: [program], AttachStdout: true })).json.Id;
    await api.request("POST", `/exec/${exec}/start`, {});
    codes.push((await api.request("GET", `/exec/${exec}/json`)).json.ExitCode);
  }
  const { json } = await api.request("POST", `/containers/${id}/exec`, { Cmd: ["x"], DetachKeys: "foo" });
  return { codes, message: json.message };
});

same("files in and out: events; what is mounted is not replaced", async (api, run) => {
  const id = await run("exec sleep 1000");
  const tar = rawTar({ name: "hostname", content: "mine" });
  const put = async (path: string) => {
    const type = { "Content-Type": "application/x-tar" };
    const { status, json } = await api.request("PUT", `/containers/${id}/archive?path=${path}`, tar, type);
    return [status, json?.message?.replaceAll(id, "ID")];
  };
  const answers = [await put("/"), await put("/etc"), await put("/none-such")];
  await api.request("HEAD", `/containers/${id}/archive?path=/etc`);
  const mounted = await api.request("GET", `/containers/${id}/archive?path=/etc/hostname`);
  await api.request("GET", `/containers/${id}/archive?path=/none-such`);
  return { answers, isMine: mounted.text.includes("mine"), events: await eventsOf(api, id) };
});

same("a log's options that need each other", async (api) => {
  const create = async (Config: object) => {
    const HostConfig = { NetworkMode: "none", LogConfig: { Type: "json-file", Config } };
    const { status, json } = await api.request("POST", "/containers/create", { Image: api.image, HostConfig });
    if (status === 201) await api.request("DELETE", `/containers/${json.Id}`);
    return [status, json.message];
  };
  const size = { "max-buffer-size": "1m" };
  return [
    await create(size),
    await create({ ...size, mode: "blocking" }),
    await create({ ...size, mode: "non-blocking" }),
  ];
});

same("sizes in a list, and volumes of who has none", async (api) => {
  const id = await api.create({ Volumes: {}, HostConfig: { NetworkMode: "none" } });
  const { json } = await api.request("GET", "/containers/json?all=1&size=1");
  const listed = json.find(({ Id }: { Id: string }) => Id === id);
  const { Config } = await api.inspect(id);
  await api.request("DELETE", `/containers/${id}`);
  return { hasOwnSize: "SizeRw" in listed, Volumes: Config.Volumes };
});

same("a log that is rotated: what is left of it, in one file and in three", async (api, run) => {
  const left: string[][] = [];
  for (const files of ["1", "3"]) {
    const LogConfig = { Type: "json-file", Config: { "max-size": "1k", "max-file": files } };
    // Two entries fill a file.
    const id = await run('for i in 1 2 3 4 5 6 7 8 9; do printf "%0600d\\n" $i; done', {}, { LogConfig });
    await untilStatus(api, id, "exited");
    for (const tail of ["all", "2"]) {
      const { text } = await api.request("GET", `/containers/${id}/logs?stdout=1&tail=${tail}`);
      left.push([...text.matchAll(/0{10,}(\d)/g)].map(([, number]) => number!));
    }
    await api.request("DELETE", `/containers/${id}`);
  }
  expect(left[0]).toEqual(["9"]);
  return left;
});

same("a container without an image: its files, an image of it, and limits beyond what is a number", async (api) => {
  const Binds = ["/bin/busybox:/bin/busybox:ro"];
  const refused = await api.request("POST", "/containers/create", { Image: "", HostConfig: { Binds } });
  const most = "9223372036854775807";
  const HostConfig = `{"NetworkMode":"none","Binds":${JSON.stringify(Binds)},"Memory":${most},"MemorySwap":${most}}`;
  const body = `{"Cmd":["/bin/busybox","touch","/made"],"HostConfig":${HostConfig}}`;
  const type = { "Content-Type": "application/json" };
  const created = await api.request("POST", "/containers/create?name=bare", body, type);
  const id = created.json.Id;
  try {
    const waiting = await api.wait(id, "next-exit");
    const start = await api.request("POST", `/containers/${id}/start`);
    const end = await waiting.answer;
    const { Image, Config, HostConfig: limits } = await api.inspect(id);
    const listed = (await api.request("GET", "/containers/json?all=1&size=1")).json;
    const { Image: name, ImageID, SizeRw } = listed.find(({ Id }: { Id: string }) => Id === id);
    const changes = (await api.request("GET", `/containers/${id}/changes`)).json;
    const made = await api.request("POST", `/commit?container=${id}&repo=bare`, "");
    const image = (await api.request("GET", "/images/bare/json")).json;
    await api.request("DELETE", "/images/bare");
    const codes = [refused.status, refused.json.message, created.status, start.status, end.StatusCode, made.status];
    const isUnlimited = [limits.Memory, limits.MemorySwap].map((bytes) => bytes > 2 ** 62);
    expect(changes.map(({ Path }: { Path: string }) => Path)).toContain("/made");
    return { codes, Image, name, ImageID, SizeRw, config: Config.Image, isUnlimited, cmd: image.Config.Cmd };
  } finally {
    await api.request("DELETE", `/containers/${id}?force=1`);
  }
});
