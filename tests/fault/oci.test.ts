import { afterAll, describe, expect } from "bun:test";
import { closeSync, constants, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { LighterError } from "../../src/base/errors.ts";
import { listProgram } from "../../src/linux/program/list.ts";
import { loadCompiler } from "../../src/linux/seccomp/memo.ts";
import { makeFifo } from "../../src/linux/sys/fifo.ts";
import { connectUnixFd } from "../../src/linux/sys/unix-socket.ts";
import { compileExec, compileStart } from "../../src/runtime/compile.ts";
import { type HostFacts, LIVE_FACTS } from "../../src/runtime/host-facts.ts";
import type { ExecRequest, HandOver, StartRequest } from "../../src/runtime/mod.ts";
import { until } from "../support/eventually.ts";
import { type ListedOp, opsOf, opsToFail } from "../support/fault-ops.ts";
import { expectSameHost, quietSnapshot } from "../support/host-snapshot.ts";
import { placeInCgroup } from "../support/place-in-cgroup.ts";
import { failureOf, isAlive, isRoot, type RunOptions, rooted, Stage } from "../support/stage.ts";

await loadCompiler();

/*
 * Every op of the programs that only the OCI command line makes, made to fail: processes that are handed over, with a
 * FIFO to wait at, a console socket, pauses for hooks and for systemd, and stdio of the caller's.
 */

/** No op has this index. */
const NO_FAULT = 0xfffffffe;
const fault = { index: NO_FAULT, errno: "EIO" };
const stage = isRoot ? new Stage({ fault }) : (undefined as unknown as Stage);
const observed = () => ({ host: stage.host, parent: stage.parent, directories: [stage.execRoot, stage.rootfs] });

function facts(): HostFacts {
  return { cgroups: stage.host, ...LIVE_FACTS, rootMountpoint: join(stage.execRoot, "rootfs") };
}

/** Makes every op fail in turn while `act` runs. Nobody hears of those after the hand-over. */
async function failAtEachOp(ops: readonly ListedOp[], act: () => Promise<unknown>, containers = 0): Promise<void> {
  const handedOver = ops.find(({ verb }) => verb === "await")?.index ?? ops.length;
  await failAt(ops[0]!, act, true); // the first time, Bun opens fds of its own
  const before = await quietSnapshot(observed(), containers);
  for (const op of opsToFail(ops)) {
    await failAt(op, act, op.index < handedOver);
    await expectSameHost(before, observed());
  }
}

async function failAt(op: ListedOp, act: () => Promise<unknown>, isTold: boolean): Promise<void> {
  fault.index = op.index;
  try {
    if (!isTold) {
      await act();
      return;
    }
    const error = await failureOf(act());
    const isEntrypoint = op.verb === "execve" || op.verb === "check-executable";
    expect(error).toBeInstanceOf(LighterError);
    expect(error).toMatchObject({
      code: isEntrypoint ? "exec-denied" : "kernel",
      detail: { errno: "EIO", opIndex: op.index },
    });
    if (!isEntrypoint) expect((error as Error).message).toStartWith(`${op.why}: `);
  } finally {
    fault.index = NO_FAULT;
  }
}

/** Not read: a terminal's master that is on its way stays open, and its process is not hung up on while it is set up. */
const consoles = new Set<Socket>();
const consoleServer = createServer({ pauseOnConnect: true }, (socket) => consoles.add(socket.on("error", () => {})));
const consolePath = isRoot ? join(stage.directory, "console.sock") : "";
const listening = isRoot ? new Promise<void>((resolve) => consoleServer.listen(consolePath, resolve)) : undefined;
afterAll(() => consoleServer.close());

interface Kind {
  terminal?: boolean;
  fifo?: boolean;
  console?: boolean;
  pauses?: boolean;
  change?: RunOptions["change"];
}

/** Our fds of the hand-over, ended after `use`. */
async function withHandOver<T>(kind: Kind, use: (handOver: HandOver, fifo: string) => Promise<T>): Promise<T> {
  const handOver: HandOver = {};
  const fifo = join(stage.directory, "exec.fifo");
  if (kind.fifo) {
    makeFifo(fifo);
    handOver.startFifoFd = openSync(fifo, constants.O_RDWR);
  }
  try {
    if (kind.console) handOver.consoleSocketFd = connectUnixFd(consolePath);
    return await use(handOver, fifo);
  } finally {
    for (const fd of [handOver.startFifoFd, handOver.consoleSocketFd]) if (fd !== undefined) closeSync(fd);
    for (const socket of consoles) socket.destroy();
    consoles.clear();
    rmSync(fifo, { force: true });
  }
}

/** Of the same container each time: its name is in the ops. */
function requestOf(kind: Kind, handOver: HandOver | undefined): StartRequest {
  const terminal = kind.terminal ?? false;
  const config = stage.config("one", ["/bin/true"], kind.change);
  config.process!.terminal = terminal;
  return {
    id: "one",
    config,
    rootfs: [],
    runDirectory: stage.runDirectory("one"),
    stdio: terminal ? { terminal, stdin: true } : { terminal, stdin: false, inherit: true },
    attach: [],
    ...(handOver ? { handOver } : {}),
    ...(kind.pauses ? { beforePivot: async () => {}, placeInCgroup } : {}),
  };
}

function writeToFile(path: string, text: string): void {
  const fd = openSync(path, "w");
  try {
    writeSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

/** What `create` and `start` do. */
async function createAndStart(kind: Kind): Promise<void> {
  await withHandOver(kind, async (handOver, fifo) => {
    const request = requestOf(kind, handOver);
    const removing = () => stage.runtime.cleanup(request); // of a cgroup that is not the launcher's
    const created = await stage.runtime.create(request).catch(async (error: unknown) => {
      if (kind.pauses) await removing();
      throw error;
    });
    try {
      await created.release();
    } catch (error) {
      await created.abandon();
      await removing();
      throw error;
    }
    writeToFile(fifo, "0");
    await until(() => !isAlive(created.pid), "init has ended");
    await removing();
  });
}

/** What `run` in the foreground does. */
async function runToTheEnd(kind: Kind): Promise<void> {
  const request = requestOf(kind, undefined);
  const created = await stage.runtime.create(request);
  await created.start().catch(async (error: unknown) => {
    await created.gone;
    await stage.runtime.cleanup(request);
    throw error;
  });
  await created.exited;
  await created.gone;
  await stage.runtime.cleanup(request);
}

const startPrograms: Record<string, Kind> = {
  "with a FIFO to wait at": { fifo: true },
  "with a console socket, in a user namespace": {
    fifo: true,
    console: true,
    terminal: true,
    change: (config) => {
      const mappings = [{ containerID: 0, hostID: 0, size: 65536 }];
      config.linux!.namespaces!.push({ type: "user" });
      Object.assign(config.linux!, { uidMappings: mappings, gidMappings: mappings });
    },
  },
  "with pauses for systemd and for hooks": { fifo: true, pauses: true },
};

function explain(request: StartRequest): ListedOp[] {
  return opsOf(listProgram(compileStart(request, facts(), true).program));
}

describe("a container that is to be handed over and whose op k fails leaves the host as it was", () => {
  for (const [name, kind] of Object.entries(startPrograms))
    rooted(name, async () => {
      await listening;
      await createAndStart(kind); // it works; and the runtime has seen which files cgroups have here
      const ops = await withHandOver(kind, async (handOver) => explain(requestOf(kind, handOver)));
      expect(ops.some(({ verb }) => verb === "await")).toBe(true);
      await failAtEachOp(ops, () => createAndStart(kind));
      await createAndStart(kind);
    });
});

rooted(
  "a container in the foreground whose op k fails, before or after its creation, leaves the host as it was",
  async () => {
    const kind: Kind = {};
    await runToTheEnd(kind);
    await failAtEachOp(explain(requestOf(kind, undefined)), () => runToTheEnd(kind));
    await runToTheEnd(kind);
  },
);

describe("an exec whose op k fails leaves the host as it was", () => {
  const execPrograms: Record<string, Kind & { foreground?: boolean }> = {
    "to be handed over": {},
    "to be handed over, with a console socket": { console: true, terminal: true },
    "in the foreground": { foreground: true },
  };
  for (const [name, kind] of Object.entries(execPrograms))
    rooted(name, async () => {
      await listening;
      const sleeper = await stage.sleeper();
      const request = (handOver: HandOver): ExecRequest => ({
        ...stage.execRequest(sleeper, ["/bin/true"], { terminal: kind.terminal ?? false, attach: [] }),
        ...(kind.terminal ? {} : { stdio: { terminal: false, stdin: false, inherit: true } }),
        ...(kind.foreground ? {} : { handOver }),
      });
      const act = () =>
        withHandOver(kind, async (handOver) => {
          const asked = request(handOver);
          const exec = await stage.runtime.exec(asked);
          if (kind.foreground) await exec.exited;
          else await exec.release();
          await until(() => !isAlive(exec.pid), "the process has ended");
          await exec.gone;
          rmSync(asked.runDirectory, { recursive: true });
        });
      try {
        await act();
        const ops = await withHandOver(kind, async (handOver) =>
          opsOf(listProgram(compileExec(request(handOver), facts()))),
        );
        await failAtEachOp(ops, act, 1);
        await act();
      } finally {
        await sleeper.end();
      }
    });
});

rooted("a container whose caller goes before the hand-over ends, and nothing is left", async () => {
  const before = await quietSnapshot(observed(), 0);
  for (const kind of [{ fifo: true }, {}]) {
    const pid = await withHandOver(kind, async (handOver) => {
      const request = requestOf(kind, kind.fifo ? handOver : undefined);
      const created = await stage.runtime.create(request);
      created.disconnect();
      await until(() => !isAlive(created.pid), "init was killed");
      await until(() => !stage.leftovers().includes(request.id), "the cgroup was removed");
      await stage.runtime.cleanup(request);
      return created.pid;
    });
    expect(readFileSync("/proc/self/status", "utf8")).not.toContain(`PPid:\t${pid}`);
    await expectSameHost(before, observed());
  }
});
