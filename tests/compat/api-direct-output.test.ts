import { afterEach, beforeEach, expect } from "bun:test";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { FrameReader } from "../../src/engine/mod.ts";
import { frame } from "../support/api-client.ts";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/** Output that the supervisor writes to the client itself: it comes although the daemon is stopped. */

const rooted = testIf(isRoot, "needs root");
let daemon: TestDaemon;
let fifo: string;

beforeEach(async () => {
  if (!isRoot) return;
  daemon = await TestDaemon.start();
  fifo = join(daemon.directory, "fifo");
  execFileSync("mkfifo", [fifo]);
});

afterEach(async () => {
  if (isRoot) await daemon[Symbol.asyncDispose]();
});

/** What comes through the FIFO goes out: nothing of it passes the daemon. It holds both ends: no write to it waits, or ends it. */
const CAT = ["/bin/sh", "-c", "exec 3<>/fifo; echo ready; exec cat <&3"];

/** Of which nobody who attaches later hears anything but what comes through the FIFO: it has said that it is ready. */
async function startCat(): Promise<string> {
  const id = await createCat();
  const first = await daemon.hijack(`/containers/${id}/attach?stream=1&stdout=1`);
  await daemon.request("POST", `/containers/${id}/start`);
  await first.until((text) => text === frame(1, "ready\n"));
  first.socket.destroy();
  return id;
}

async function createCat(cmd: readonly string[] = CAT): Promise<string> {
  return await daemon.create({ Cmd: cmd, HostConfig: { ...hostUsr, Binds: [...hostUsr.Binds, `${fifo}:/fifo`] } });
}

/** Runs `act` while the daemon does nothing. */
async function whileStopped(act: () => Promise<void>): Promise<void> {
  process.kill(daemon.pid, "SIGSTOP");
  try {
    await act();
  } finally {
    process.kill(daemon.pid, "SIGCONT");
  }
}

rooted("of an attached container, asked for before and after its start", async () => {
  const id = await createCat();
  const before = await daemon.hijack(`/containers/${id}/attach?stream=1&stdout=1`);
  await daemon.request("POST", `/containers/${id}/start`);
  await before.until((text) => text === frame(1, "ready\n"));
  const after = await daemon.hijack(`/containers/${id}/attach?stream=1&stdout=1`, { upgrade: false });
  // The head is there: from now on no output is missed. With the first of it the daemon has passed the socket on.
  writeFileSync(fifo, "by the daemon's leave, ");
  await after.until((text) => text === frame(1, "by the daemon's leave, "));
  await whileStopped(async () => {
    writeFileSync(fifo, "past the daemon");
    for (const stream of [before, after]) await stream.until((text) => text.endsWith(frame(1, "past the daemon")));
  });
  await daemon.request("POST", `/containers/${id}/kill`);
  const output = frame(1, "by the daemon's leave, ") + frame(1, "past the daemon");
  expect(await before.untilEnd()).toBe(frame(1, "ready\n") + output);
  expect(await after.untilEnd()).toBe(output);
});

rooted("from an attached client's head on, however soon it comes", async () => {
  const id = await startCat();
  for (let round = 0; round < 100; round++) {
    const text = frame(1, `round ${round}`);
    const attached = await daemon.hijack(`/containers/${id}/attach?stream=1&stdout=1`);
    writeFileSync(fifo, `round ${round}`);
    await attached.until((received) => received === text);
    attached.socket.destroy();
  }
});

rooted("of an exec, whose stream ends when its code is known", async () => {
  const id = await createCat(["/bin/sleep", "1000"]);
  await daemon.request("POST", `/containers/${id}/start`);
  const body = { Cmd: CAT, AttachStdout: true };
  const exec = (await daemon.request("POST", `/containers/${id}/exec`, body)).json.Id;
  const stream = await daemon.hijack(`/exec/${exec}/start`, { body: "{}" });
  await stream.until((text) => text === frame(1, "ready\n"));
  await whileStopped(async () => {
    writeFileSync(fifo, "past the daemon");
    await stream.until((text) => text.endsWith(frame(1, "past the daemon")));
  });
  await daemon.request("POST", `/lighter/exec/${exec}/kill`);
  await stream.untilEnd();
  expect((await daemon.request("GET", `/exec/${exec}/json`)).json.ExitCode).toBe(137);
  await daemon.request("DELETE", `/containers/${id}?force=1`);
});

rooted(
  "of a client that does not read: a stop does not wait for it, and it misses nothing of what the log has",
  async () => {
    const body = { Cmd: ["/usr/bin/yes"], OpenStdin: true, HostConfig: hostUsr };
    const id = await daemon.create(body);
    const attached = await daemon.hijack(`/containers/${id}/attach?stream=1&stdin=1&stdout=1`);
    attached.socket.pause();
    await daemon.request("POST", `/containers/${id}/start`);
    expect((await daemon.request("POST", `/containers/${id}/stop?t=1`)).status).toBe(204);
    expect((await daemon.inspect(id)).State).toMatchObject({ Running: false, ExitCode: 137 });
    attached.socket.resume();
    const outputOf = (frames: string) => new FrameReader().push(Buffer.from(frames, "latin1")).toString();
    const output = outputOf(await attached.untilEnd());
    expect(output.length).toBeGreaterThan(100_000);
    expect(output === outputOf((await daemon.request("GET", `/containers/${id}/logs?stdout=1`)).text)).toBeTrue();
  },
);

rooted("of very many clients, whether they come before the start or after it", async () => {
  const id = await createCat();
  const attach = () => daemon.hijack(`/containers/${id}/attach?stream=1&stdout=1`);
  const many = () => Promise.all(Array.from({ length: 150 }, attach));
  const early = await many();
  expect((await daemon.request("POST", `/containers/${id}/start`)).status).toBe(204);
  await Promise.all(early.map((stream) => stream.until((text) => text === frame(1, "ready\n"))));
  const late = await many();
  writeFileSync(fifo, "to all");
  for (const stream of [...early, ...late]) await stream.until((text) => text.endsWith(frame(1, "to all")));
  await daemon.request("POST", `/containers/${id}/kill`);
  for (const stream of [...early, ...late]) await stream.untilEnd();
});

rooted("ends with the daemon, as every stream does", async () => {
  const id = await createCat();
  const attached = await daemon.hijack(`/containers/${id}/attach?stream=1&stdout=1`);
  await daemon.request("POST", `/containers/${id}/start`);
  await attached.until((text) => text === frame(1, "ready\n"));
  await daemon.kill();
  expect(await attached.untilEnd()).toBe(frame(1, "ready\n"));
  await daemon.launch();
  await daemon.request("DELETE", `/containers/${id}?force=1`);
});
