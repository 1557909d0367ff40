/**
 * Several clients do what clients do, while the daemon is killed at random moments and started again. What was promised
 * to them holds, whatever the moment: LIGHTER_TEST_KILLS says how many (200 for a proof, by hand), LIGHTER_TEST_LIFE_MS how
 * long a daemon lives at most (68 kills and 26,000 are a soak of 15 minutes), FUZZ_SEED which.
 */
import { Database } from "bun:sqlite";
import { afterAll, expect } from "bun:test";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../../src/base/errors.ts";
import type { Answer, RawConnection } from "../support/api-client.ts";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { DockerRegistry, hasDockerRegistry } from "../support/docker-registry.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";
import { Random } from "../support/random.ts";
import { isEmulated } from "../support/sample.ts";
import { isAlive, isRoot, parentOf } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const rooted = testIf(isRoot, "needs root");

const KILLS = Number(process.env.LIGHTER_TEST_KILLS ?? (isEmulated ? 2 : 25));
const CLIENTS = 4;
const KEEPERS = 3;
/** From the start of a daemon to its end: some die before they listen. */
const LONGEST_LIFE_MS = Number(process.env.LIGHTER_TEST_LIFE_MS ?? (isEmulated ? 10_000 : 700));
/** A client that is not served for so long has found a bug. */
const PATIENCE_MS = 60_000;

let daemon: TestDaemon;
let registry: DockerRegistry | undefined;

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
});

/** What a client sees when the daemon dies, or is not there: nothing else may tell it so. */
const CUT_OFF = ["ECONNREFUSED", "ECONNRESET", "EPIPE", "ENOENT"];

/** How often a request was cut off, or found nobody. */
let cutOffs = 0;

/** Undefined: it may have happened, or not. */
async function attempt(method: string, path: string, body?: unknown, type = ""): Promise<Answer | undefined> {
  const headers: Record<string, string> = type === "" ? {} : { "Content-Type": type };
  try {
    return await daemon.request(method, path, body, headers);
  } catch (error) {
    if (!CUT_OFF.includes(errnoOf(error))) throw error;
    cutOffs++;
    await Bun.sleep(5); // there may be nobody to ask for a while
    return undefined;
  }
}

/** Asks until there is an answer: for what may happen twice. */
async function ask(method: string, path: string, body?: unknown, type = ""): Promise<Answer> {
  const deadlineMs = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await attempt(method, path, body, type);
    if (answer !== undefined) return answer;
    if (Date.now() > deadlineMs) throw new Error(`no answer to ${method} ${path}\n${daemon.log}`);
  }
}

/** A stream up to where it ends, or where the daemon dies. */
async function streamed(path: string, body: string, enough = (_: string) => false): Promise<string> {
  let connection: RawConnection;
  try {
    connection = await daemon.hijack(path, { body });
  } catch {
    cutOffs++;
    return ""; // cut off before its head was there
  }
  // A connection that ended is no failure here.
  await connection.until(enough).catch(() => {});
  connection.socket.destroy();
  const { head, text } = connection;
  if (!head.startsWith("HTTP/1.1 101 ")) throw new Error(`${path}: ${head}${text}`);
  return text;
}

const withoutFrames = (text: string) => text.replaceAll(/[\x01\x02]\0\0\0[\s\S]{4}/g, "");

/** "line N" follow each other; the last, and with `tail` the first one, may be torn. */
function expectConsecutive(text: string): void {
  const numbers = [...withoutFrames(text).matchAll(/^line (\d+)\n/gm)].map(([, number]) => Number(number)).slice(1);
  expect(numbers).toEqual(numbers.map((_, index) => numbers[0]! + index));
}

// --- Containers of one client each ---

const created: string[] = [];

/** Whatever the number of attempts, there is one in the end. */
async function create(name: string, body: object): Promise<string> {
  for (;;) {
    const answer = await attempt("POST", `/containers/create?name=${name}`, { Image: daemon.image, ...body });
    // An attempt that was cut off may have made it.
    if (answer?.status === 409) return kept((await ask("GET", `/containers/${name}/json`)).json.Id);
    if (answer === undefined) continue;
    expect(answer).toMatchObject({ status: 201 });
    return kept(answer.json.Id);
  }
}

function kept(id: string): string {
  created.push(id);
  return id;
}

interface State {
  Status: string;
  ExitCode: number;
  Error: string;
  Pid: number;
}

async function stateOf(id: string): Promise<State | undefined> {
  const answer = await ask("GET", `/containers/${id}/json`);
  if (answer.status === 404) return undefined;
  expect(answer.status).toBe(200);
  return answer.json.State;
}

/** Once and only once, as far as anybody can tell. */
async function start(id: string): Promise<void> {
  for (;;) {
    const answer = await attempt("POST", `/containers/${id}/start`);
    if (answer !== undefined) {
      expect(answer).toMatchObject({ status: 204 });
      return;
    }
    if ((await stateOf(id))?.Status !== "created") return;
  }
}

async function exitCodeOf(id: string): Promise<number> {
  return (await ask("POST", `/containers/${id}/wait`)).json.StatusCode;
}

async function remove(id: string, query = "?v=1"): Promise<void> {
  const { status, text } = await ask("DELETE", `/containers/${id}${query}`);
  if (status !== 204 && status !== 404) throw new Error(`remove: ${status} ${text}`);
}

async function logsOf(id: string): Promise<string> {
  return withoutFrames((await ask("GET", `/containers/${id}/logs?stdout=1&stderr=1`)).text);
}

const shell = (script: string, more: object = {}) => ({ Cmd: ["/bin/sh", "-c", script], HostConfig: hostUsr, ...more });

// --- What clients do ---

interface Client {
  random: Random;
  /** Of things that only this client knows. */
  freshName(): string;
  keeper(): string;
}

const doings: Record<string, (client: Client) => Promise<void>> = {
  async "runs a container to its end"({ random, freshName }) {
    const [lines, code] = [random.below(200), random.below(256)];
    const script = `i=0; while [ $i -lt ${lines} ]; do i=$((i+1)); echo line $i; done; exit ${code}`;
    const id = await create(freshName(), shell(script));
    await start(id);
    expect(await exitCodeOf(id)).toBe(code);
    expect(await stateOf(id)).toMatchObject({ Status: "exited", ExitCode: code, Error: "", Pid: 0 });
    expect(await logsOf(id)).toBe(Array.from({ length: lines }, (_, index) => `line ${index + 1}\n`).join(""));
    await remove(id);
    expect(await stateOf(id)).toBeUndefined();
  },

  async "stops one that handles the signal"({ random, freshName }) {
    const code = random.below(100);
    const script = `trap 'echo stopped; exit ${code}' TERM; echo ready; while :; do sleep 0.01; done`;
    const id = await create(freshName(), shell(script));
    await start(id);
    while (!(await logsOf(id)).includes("ready\n")) await Bun.sleep(5);
    const { status } = await ask("POST", `/containers/${id}/stop`);
    expect([204, 304]).toContain(status);
    expect(await exitCodeOf(id)).toBe(code);
    expect(await logsOf(id)).toBe("ready\nstopped\n");
    await remove(id);
  },

  async "removes one that runs"({ freshName }) {
    const id = await create(freshName(), shell("sleep 1000", { Volumes: { "/data": {} } }));
    await start(id);
    await remove(id, "?force=1&v=1");
    expect(await stateOf(id)).toBeUndefined();
  },

  async "runs one that removes itself"({ freshName }) {
    const id = await create(freshName(), shell("exit 0", { HostConfig: { ...hostUsr, AutoRemove: true } }));
    for (;;) {
      const answer = await attempt("POST", `/containers/${id}/start`);
      if (answer?.status === 204 || answer?.status === 404) break; // after an attempt that was cut off
      expect(answer?.status ?? 304).toBe(304);
    }
    while ((await stateOf(id)) !== undefined) await Bun.sleep(5);
  },

  async "fails to start one"({ freshName }) {
    const id = await create(freshName(), { Cmd: ["/nonesuch"], HostConfig: hostUsr });
    expect((await ask("POST", `/containers/${id}/start`)).status).toBe(400);
    expect(await stateOf(id)).toMatchObject({ Status: "created", Pid: 0 });
    await remove(id);
  },

  async "loses a supervisor"({ freshName }) {
    const id = await create(freshName(), shell("sleep 1000"));
    await start(id);
    const { Pid = 0 } = (await stateOf(id)) ?? {};
    process.kill(parentOf(Pid), "SIGKILL");
    expect(await exitCodeOf(id)).toBe(137);
    const lost = expect.stringContaining("supervisor was lost");
    expect(await stateOf(id)).toMatchObject({ Status: "exited", ExitCode: 137, Error: lost, Pid: 0 });
    while (isAlive(Pid)) await Bun.sleep(5);
    await remove(id);
  },

  async "executes in a container that stays"({ random, keeper }) {
    const text = `${random.u32()}\n`;
    const exec = { Cmd: ["/bin/sh", "-c", `printf '${text}'; exit 4`], AttachStdout: true };
    const answer = await attempt("POST", `/containers/${keeper()}/exec`, exec);
    if (answer === undefined) return;
    expect(answer.status).toBe(201);
    const { Id } = answer.json;
    let output: string;
    try {
      output = await streamed(`/exec/${Id}/start`, "{}");
    } catch (error) {
      expect(`${error}`).toContain("No such exec instance"); // the daemon that knew of it has died
      return;
    }
    expect(["", text]).toContain(withoutFrames(output)); // "": cut off
  },

  async "attaches to a container that stays"({ keeper }) {
    const enough = (text: string) => text.length > 400;
    expectConsecutive(await streamed(`/containers/${keeper()}/attach?stream=1&stdout=1`, "", enough));
  },

  async "follows a log"({ keeper }) {
    const connection = await daemon.open(
      `GET /containers/${keeper()}/logs?stdout=1&follow=1&tail=10 HTTP/1.0\r\nHost: d\r\n\r\n`,
    );
    await connection.until((text) => text.length > 1000).catch(() => cutOffs++);
    connection.socket.destroy();
    const [head = "", text = ""] = connection.text.split("\r\n\r\n");
    if (head !== "") expect(head).toStartWith("HTTP/1.1 200 ");
    expectConsecutive(text);
  },

  async "loads an image, and removes it"({ random, freshName }) {
    const name = freshName();
    const layers = Array.from({ length: 2 }, () =>
      rawTar({ name: `file-${random.u32()}`, content: Buffer.alloc(300_000, random.u32()) }),
    );
    const archive = dockerArchive({ layers, tags: [`${name}:latest`] });
    const { status, text } = await ask("POST", "/images/load", archive, "application/x-tar");
    expect({ status, text }).toMatchObject({ status: 200, text: expect.stringContaining(`Loaded image: ${name}`) });
    expect((await ask("GET", `/images/${name}/json`)).status).toBe(200);
    expect([200, 404]).toContain((await ask("DELETE", `/images/${name}`)).status);
    expect((await ask("GET", `/images/${name}/json`)).status).toBe(404);
  },
};

async function pull(reference: string): Promise<void> {
  for (;;) {
    const { status, text } = await ask("POST", `/images/create?fromImage=${reference}&tag=latest`);
    expect(status).toBe(200);
    if (text.includes("Status: ")) break;
    expect(text).not.toContain("errorDetail"); // cut off, and ended as if it had been all
  }
  // Of several clients that have it one removes it.
  expect([200, 404, 409]).toContain((await ask("DELETE", `/images/${reference}`)).status);
}

// --- The killer ---

/** How long it took, each time, from a daemon's start to its first answer; those that died before are left out. */
const untilAnswersMs: number[] = [];

async function launch(): Promise<void> {
  const fromMs = performance.now();
  await daemon.launch();
  if ((await attempt("GET", "/_ping")) !== undefined) untilAnswersMs.push(performance.now() - fromMs);
}

async function killAgainAndAgain(random: Random, isOver: () => boolean): Promise<number> {
  let kills = 0;
  let launched = Promise.resolve();
  for (; kills < KILLS && !isOver(); kills++) {
    await Bun.sleep(random.below(LONGEST_LIFE_MS));
    await daemon.kill();
    await launched;
    launched = launch();
  }
  await launched;
  return kills;
}

function describeAnswers(): string {
  const sorted = untilAnswersMs.map(Math.round).sort((a, b) => a - b);
  return `answers after ${sorted[sorted.length >> 1]} ms (median), ${sorted.at(-1)} ms (longest)`;
}

// --- What must be as it was ---

/** Supervisors and helpers that are there now. */
function helpers(): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      if (!/^\d+$/.test(pid)) return false;
      const words = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
      if (words[0] === "lighter-supervisor") return true;
      return words.includes("layer-worker") && fdsOf(pid).some((target) => target.startsWith(daemon.directory));
    } catch {
      return false; // it has just ended
    }
  });
}

function fdsOf(pid: number | string): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return []; // closed since
    }
  });
}

/** Of the daemon: connections, supervisors, and files of ours. Bun's own come and go. */
function countFds(): number {
  return fdsOf(daemon.pid).filter((target) => /^socket:|pidfd|memfd|^\/(?!dev|proc|sys|usr)/.test(target)).length;
}

const mounts = () => readFileSync("/proc/self/mountinfo", "utf8").split("\n").sort();

/** `left` says what is in the way. */
async function becomes(isMet: () => boolean, left: () => unknown): Promise<void> {
  const deadlineMs = Date.now() + PATIENCE_MS;
  while (!isMet()) {
    if (Date.now() > deadlineMs) throw new Error(`not in time; there is ${JSON.stringify(left())}`);
    await Bun.sleep(10);
  }
}

// --- What stays over all lives ---

interface Keeper {
  id: string;
  pid: number;
  volume: string;
}

/** Each says and writes lines, to the file first: what has been said has been written. */
async function startKeepers(): Promise<Keeper[]> {
  const script =
    "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo line $i >> /data/lines; echo line $i; sleep 0.01; done; exit 43";
  const keepers: Keeper[] = [];
  for (let index = 0; index < KEEPERS; index++) {
    const volume = `keeper-${index}`;
    const HostConfig = { ...hostUsr, Binds: [...hostUsr.Binds, `${volume}:/data`] };
    const id = kept(await daemon.run({ ...shell(script), HostConfig }, volume));
    keepers.push({ id, pid: (await daemon.inspect(id)).State.Pid, volume: join(daemon.dataRoot, "volumes", volume) });
  }
  return keepers;
}

async function expectWhole({ id, pid, volume }: Keeper): Promise<void> {
  expect(await stateOf(id)).toMatchObject({ Status: "running", Pid: pid });
  expect(isAlive(pid)).toBe(true);
  const stop = { Cmd: ["/bin/sh", "-c", "echo > /stop"] };
  const { json } = await daemon.request("POST", `/containers/${id}/exec`, stop);
  await daemon.request("POST", `/exec/${json.Id}/start`, { Detach: true });
  expect(await exitCodeOf(id)).toBe(43);
  const written = readFileSync(join(volume, "_data/lines"), "utf8");
  const lines = written.split("\n").slice(0, -1);
  expect(lines).toEqual(lines.map((_, index) => `line ${index + 1}`));
  expect(await logsOf(id)).toBe(written);
}

/** An image that clients can pull. */
async function fillRegistry(host: string): Promise<string> {
  const reference = `${host}/pulled`;
  const layers = Array.from({ length: 3 }, (_, index) =>
    rawTar({ name: `layer-${index}`, content: Buffer.alloc(1_000_000, index) }),
  );
  const archive = dockerArchive({ layers, tags: [`${reference}:latest`] });
  await daemon.request("POST", "/images/load", archive, { "Content-Type": "application/x-tar" });
  const authorization = { "X-Registry-Auth": Buffer.from("{}").toString("base64") };
  const pushed = await daemon.request("POST", `/images/${reference}/push?tag=latest`, "", authorization);
  expect(pushed.text).toContain("digest");
  expect((await daemon.request("DELETE", `/images/${reference}`)).status).toBe(200);
  return reference;
}

/** Ids and names. */
async function imagesShown(): Promise<unknown[]> {
  const { json } = await daemon.request("GET", "/images/json");
  return json.map(({ Id, RepoTags }: { Id: string; RepoTags: string[] }) => `${Id} ${RepoTags}`).sort();
}

interface Traces {
  mounts: string[];
  helpers: string[];
  fds: number;
  images: unknown[];
}

async function traces(): Promise<Traces> {
  return { mounts: mounts(), helpers: helpers(), fds: countFds(), images: await imagesShown() };
}

async function expectNothingLeft(before: Traces, keepers: readonly Keeper[]): Promise<void> {
  expect((await daemon.request("GET", "/containers/json?all=1")).json).toEqual([]);
  expect(await imagesShown()).toEqual(before.images);
  for (const { volume } of keepers) expect(existsSync(volume)).toBe(true);
  const paths = () => daemon.leftovers(created).filter((path) => !keepers.some(({ volume }) => volume === path));
  await becomes(() => paths().length === 0, paths);
  const processes = () => helpers().filter((pid) => !before.helpers.includes(pid));
  await becomes(() => processes().length === 0, processes);
  await becomes(() => Bun.deepEquals(mounts(), before.mounts), mounts);
  await becomes(
    () => countFds() <= before.fds,
    () => fdsOf(daemon.pid),
  );
  expect(readdirSync(join(daemon.dataRoot, "image/ingest"))).toEqual([]);
  await daemon.kill();
  using database = new Database(join(daemon.dataRoot, "lighter.db"));
  expect(database.query("SELECT count(*) AS rows FROM container").get()).toEqual({ rows: 0 });
  await daemon.launch();
}

// --- All together ---

interface Story {
  isOver: boolean;
  /** How often something was done to its end. */
  counts: Record<string, number>;
}

/** Does one thing after another until it is over, which it is when one of them fails. */
async function act(story: Story, name: string, random: Random, keepers: readonly Keeper[]): Promise<void> {
  let names = 0;
  const client: Client = { random, freshName: () => `${name}-${names++}`, keeper: () => random.pick(keepers).id };
  while (!story.isOver) {
    const [what, doIt] = random.pick(Object.entries(doings));
    try {
      await doIt(client);
    } catch (error) {
      story.isOver = true;
      throw new Error(`a client that ${what}: ${(error as Error).stack}\nThe daemon:\n${daemon.log}`);
    }
    story.counts[what] = (story.counts[what] ?? 0) + 1;
  }
}

rooted(
  "kill -9 of the daemon at random moments, with busy clients: nothing is lost and nothing is left",
  async () => {
    const random = Random.fromEnvironment("busy clients");
    daemon = await TestDaemon.start({ hostNetwork: true });
    const before = await traces();
    if (hasDockerRegistry) {
      registry = await DockerRegistry.start();
      const reference = await fillRegistry(registry.host);
      doings["pulls an image"] = () => pull(reference);
    }
    const keepers = await startKeepers();

    const story: Story = { isOver: false, counts: {} };
    const clients = Array.from({ length: CLIENTS }, (_, index) =>
      act(story, `client-${index}`, new Random(random.u32()), keepers),
    );
    const killer = killAgainAndAgain(new Random(random.u32()), () => story.isOver).finally(() => {
      story.isOver = true;
    });
    const ends = await Promise.allSettled(clients);
    const kills = await killer;
    console.log(`${kills} kills, ${cutOffs} requests cut off; ${describeAnswers()}; ${JSON.stringify(story.counts)}`);
    for (const end of ends) if (end.status === "rejected") throw end.reason;
    expect(kills).toBe(KILLS);
    expect(cutOffs).toBeGreaterThan(0);

    for (const keeper of keepers) {
      await expectWhole(keeper);
      await remove(keeper.id);
    }
    await expectNothingLeft(before, keepers);
  },
  KILLS * (LONGEST_LIFE_MS + 20_000) + 60_000,
);
