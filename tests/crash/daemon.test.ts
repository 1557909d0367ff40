import { afterEach, expect } from "bun:test";
import { readFileSync } from "node:fs";
import { errnoOf } from "../../src/base/errors.ts";
import type { Answer } from "../support/api-client.ts";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { strideOf } from "../support/sample.ts";
import { isAlive, isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const rooted = testIf(isRoot, "needs root");

let daemon: TestDaemon | undefined;

afterEach(async () => {
  await daemon?.[Symbol.asyncDispose]();
  daemon = undefined;
});

/** Output of a container as text, both streams. */
async function logsOf(target: TestDaemon, id: string): Promise<string> {
  const { text } = await target.request("GET", `/containers/${id}/logs?stdout=1&stderr=1`);
  return text.replaceAll(/[\x01\x02]\0\0\0[\s\S]{4}/g, "");
}

rooted(
  "kill -9 of the daemon, again and again while a container writes, loses no output and no exit code",
  async () => {
    daemon = await TestDaemon.start();
    const script =
      "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done; read go; echo went; sleep 0.3; echo last; exit 42";
    const id = await daemon.run({ Cmd: ["/bin/sh", "-c", script], OpenStdin: true, HostConfig: hostUsr });
    for (let round = 0; round < 4; round++) {
      await daemon.kill();
      await daemon.launch();
      expect((await daemon.inspect(id)).State.Status).toBe("running");
    }
    const attached = await daemon.hijack(`/containers/${id}/attach?stream=1&stdin=1&stdout=1`);
    attached.socket.write("go\n");
    await attached.until((text) => text.includes("went\n"));
    await daemon.kill();
    await daemon.launch();
    expect((await daemon.request("POST", `/containers/${id}/wait`)).json).toEqual({ StatusCode: 42 });
    const lines = Array.from({ length: 3000 }, (_, index) => `line ${index + 1}\n`);
    expect(await logsOf(daemon, id)).toBe(`${lines.join("")}went\nlast\n`);
  },
);

rooted("a container that ends while there is no daemon has its exit code and log", async () => {
  daemon = await TestDaemon.start();
  const id = await daemon.run({
    Cmd: ["/bin/sh", "-c", "read go; echo unseen; exit 3"],
    OpenStdin: true,
    HostConfig: hostUsr,
  });
  const attached = await daemon.hijack(`/containers/${id}/attach?stream=1&stdin=1`);
  const { Pid } = (await daemon.inspect(id)).State;
  await daemon.kill();
  attached.socket.destroy();
  process.kill(Pid, "SIGKILL"); // its stdin cannot be reached without a daemon, and it must end now
  await until(() => !isAlive(Pid), "the process is gone");
  await daemon.launch();
  expect((await daemon.inspect(id)).State).toMatchObject({ Status: "exited", ExitCode: 137, Error: "", Pid: 0 });
});

rooted("a supervisor that is killed takes its container along, and the daemon says so", async () => {
  daemon = await TestDaemon.start();
  const id = await daemon.run({ Cmd: ["/bin/sleep", "1000"], HostConfig: hostUsr });
  const { Pid } = (await daemon.inspect(id)).State;
  const wait = await daemon.wait(id);
  process.kill(parentOf(Pid), "SIGKILL");
  expect(await wait.answer).toEqual({ StatusCode: 137 });
  expect((await daemon.inspect(id)).State.Error).toContain("supervisor was lost");
  await until(() => !isAlive(Pid), "the process is gone"); // one that is dying has left its cgroup already
  expect((await daemon.request("POST", `/containers/${id}/start`)).status).toBe(204);
});

function parentOf(pid: number): number {
  return Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
}

// --- Every write point ---

/** What a client knows of one container, from the answers it got. */
interface Known {
  id: string;
  name: string;
  /** Of the last request that was answered. */
  status: "created" | "running" | "paused" | "exited" | "removed";
  /** Requests whose answer did not come: any of these may have happened too. */
  maybe: string[];
}

class Story {
  readonly known: Known[] = [];

  constructor(readonly daemon: TestDaemon) {}

  /** Undefined: the daemon died over it. */
  async #ask(method: string, path: string, body?: object): Promise<Answer | undefined> {
    try {
      return await this.daemon.request(method, path, body);
    } catch {
      await this.daemon.ended();
      return undefined;
    }
  }

  async create(name: string, body: object): Promise<Known> {
    const answer = await this.#ask("POST", `/containers/create?name=${name}`, { Image: this.daemon.image, ...body });
    if (answer === undefined) throw new Crashed();
    expect(answer.status).toBe(201);
    const known: Known = { id: answer.json.Id, name, status: "created", maybe: [] };
    this.known.push(known);
    return known;
  }

  async act(known: Known, method: string, path: string, result: Partial<Known>, body?: object): Promise<Answer> {
    const answer = await this.#ask(method, `/containers/${known.id}${path}`, body);
    if (answer === undefined) {
      known.maybe.push(result.name ?? result.status!);
      if (method === "DELETE") known.maybe.push("exited"); // by force: ended, and not yet removed
      if (path === "/start") known.maybe.push("running"); // and not yet ended
      throw new Crashed();
    }
    expect(answer.status).toBeLessThan(300);
    Object.assign(known, result);
    return answer;
  }

  /** Runs a command in it to its end, which nobody promised. */
  async exec(known: Known, ...Cmd: string[]): Promise<void> {
    const { json } = await this.act(known, "POST", "/exec", {}, { Cmd });
    if ((await this.#ask("POST", `/exec/${json.Id}/start`, { Detach: true })) === undefined) throw new Crashed();
  }
}

class Crashed extends Error {}

/** Touches every kind of write. */
async function tell(story: Story): Promise<void> {
  const sleeper = await story.create("sleeper", { Cmd: ["/bin/sleep", "1000"], HostConfig: hostUsr });
  await story.act(sleeper, "POST", "/start", { status: "running" });
  const talk = { Cmd: ["/bin/sh", "-c", "echo output; exit 7"], Volumes: { "/etc": {} }, HostConfig: hostUsr };
  const short = await story.create("short", talk);
  await story.act(short, "POST", "/start", { status: "exited" });
  await story.act(short, "POST", "/wait", {});
  const auto = await story.create("auto", { Cmd: ["/bin/true"], HostConfig: { ...hostUsr, AutoRemove: true } });
  await story.act(auto, "POST", "/start", { status: "removed" });
  await story.act(sleeper, "POST", "/rename?name=renamed", { name: "renamed" });
  await story.act(sleeper, "POST", "/update", {}, { Memory: 64 << 20, MemorySwap: 64 << 20 });
  await story.exec(sleeper, "/bin/true");
  await story.act(sleeper, "POST", "/pause", { status: "paused" });
  await story.act(sleeper, "POST", "/unpause", { status: "running" });
  await story.act(sleeper, "POST", "/kill", { status: "exited" });
  await story.act(sleeper, "POST", "/start", { status: "running" });
  const RestartPolicy = { Name: "on-failure", MaximumRetryCount: 1 };
  const again = await story.create("again", { Cmd: ["/bin/false"], HostConfig: { ...hostUsr, RestartPolicy } });
  again.maybe.push("exited", "running", "restarting"); // by itself
  await story.act(again, "POST", "/start", { status: "running" });
  const broken = await story.create("broken", { Cmd: ["/nonesuch"], HostConfig: hostUsr });
  await story.act(broken, "POST", "/start", { status: "created" }).catch((error: unknown) => {
    if (error instanceof Crashed) throw error; // a start that fails is an answer too
  });
  await story.act(sleeper, "DELETE", "?force=1", { status: "removed" });
  await story.act(short, "DELETE", "?v=1", { status: "removed" });
}

/** The daemon agrees with the kernel, and with what clients were told. */
async function check(target: TestDaemon, story: Story): Promise<void> {
  const { json: list } = await target.request("GET", "/containers/json?all=1");
  for (const { Id } of list) {
    const { State, Name } = await target.inspect(Id);
    expect(["created", "running", "paused", "restarting", "exited"]).toContain(State.Status);
    expect(State.Running).toBe(["running", "paused", "restarting"].includes(State.Status));
    if (State.Running && !State.Restarting && Name !== "/again") expect(isAlive(State.Pid)).toBe(true);
  }
  for (const known of story.known) {
    const answer = await target.request("GET", `/containers/${known.id}/json`);
    if (answer.status === 404) {
      expect(known.status === "removed" || known.maybe.includes("removed"), `${known.name} is gone`).toBe(true);
      continue;
    }
    // Gone for clients, or on its way as soon as its process has ended.
    if (known.status === "removed") {
      await until(async () => (await target.request("GET", `/containers/${known.id}/json`)).status === 404, "gone");
      continue;
    }
    const { Name, State } = answer.json;
    expect([known.name, ...known.maybe]).toContain(Name.slice(1));
    if (known.name === "short" && State.Status !== "created") {
      expect((await target.request("POST", `/containers/${known.id}/wait`)).json).toEqual({ StatusCode: 7 });
      expect(await logsOf(target, known.id)).toBe("output\n");
    } else expect([known.status, ...known.maybe]).toContain(State.Status);
  }
}

/** Of the write points, of which all take minutes. */
const STRIDE = strideOf({ here: 3, emulated: 40 });

/** Removes everything that is there, and waits until no trace is left. */
async function removeAll(target: TestDaemon, story: Story): Promise<void> {
  const { json } = await target.request("GET", "/containers/json?all=1");
  for (const known of story.known) known.maybe.push("removed", "exited");
  for (const { Id } of json) expect((await target.request("DELETE", `/containers/${Id}?force=1&v=1`)).status).toBe(204);
  const ids = story.known.map(({ id }) => id);
  await until(() => !target.isAlive || target.leftovers(ids).length === 0, "nothing is left");
  await target.request("GET", "/_ping"); // the row goes right after the files
}

rooted(
  "kill -9 at each write point: the next daemon finds what was promised, and can remove all of it",
  async () => {
    const target = await TestDaemon.start();
    daemon = target;
    for (let crashAt = 1; ; crashAt += STRIDE) {
      await target.kill();
      target.log = "";
      await target.launch({ LIGHTER_TEST_CRASH_AT: String(crashAt) });
      const story = new Story(target);
      try {
        await tell(story);
        await check(target, story);
        await removeAll(target, story);
      } catch (error) {
        // Over an answer of the story, or in the background while it was checked.
        if (!(error instanceof Crashed) && !["ECONNREFUSED", "ECONNRESET", "EPIPE"].includes(errnoOf(error)))
          throw error;
        await target.ended();
      }
      const hasDied = !target.isAlive;
      if (hasDied) {
        expect(target.log).toContain("crash at write point");
        await target.launch();
        await check(target, story);
        await removeAll(target, story);
      }
      if (!hasDied) {
        expect(crashAt).toBeGreaterThan(30);
        return;
      }
    }
  },
  600_000,
);
