/** Exec, Attach and PortForward: each answers with a URL, at which the client gets what it has asked for. */
import { LighterError } from "../../base/errors.ts";
import { attach as attachTo, type Container, connectToPort, PendingAttach } from "../../engine/mod.ts";
import type { Cri } from "../cri.ts";
import { invalid } from "../errors.ts";
import { findContainer, findSandbox, requireReady } from "../pods.ts";
import type { Wanted } from "../streaming/channels.ts";
import type { RemoteProcess } from "../streaming/remote-command.ts";

interface Request extends Wanted {
  containerId: string;
}

interface Answer {
  url: string;
}

export async function exec(cri: Cri, request: Request & { cmd: readonly string[] }): Promise<Answer> {
  const container = findRunning(cri, request);
  if (request.cmd.length === 0) throw invalid("the command is empty");
  const wanted = wantedOf(request);
  const open = () => startExec(cri, container, request.cmd, wanted);
  return { url: await cri.streaming.urlFor({ kind: "exec", wanted, open }) };
}

export async function attach(cri: Cri, request: Request): Promise<Answer> {
  const container = findRunning(cri, request);
  const wanted = wantedOf(request);
  return { url: await cri.streaming.urlFor({ kind: "attach", wanted, open: () => connect(container, wanted) }) };
}

export async function portForward(cri: Cri, { podSandboxId }: { podSandboxId: string }): Promise<Answer> {
  const sandbox = findSandbox(cri.engine, podSandboxId);
  requireReady(sandbox);
  const connect = (port: number) => connectToPort(sandbox, port);
  return { url: await cri.streaming.urlFor({ kind: "portforward", connect }) };
}

function findRunning({ engine }: Cri, { containerId }: Request): Container {
  const container = findContainer(engine, containerId);
  if (container.isRunning) return container;
  throw new LighterError("conflict", `container ${JSON.stringify(container.id)} is not running`);
}

/** @throws LighterError "invalid" */
function wantedOf({ stdin, stdout, stderr, tty }: Wanted): Wanted {
  if (tty && stderr) throw invalid("tty and stderr cannot both be true");
  if (!stdin && !stdout && !stderr) throw invalid("one of stdin, stdout, or stderr must be set");
  return { stdin, stdout, stderr, tty };
}

async function startExec(
  { engine }: Cri,
  container: Container,
  cmd: readonly string[],
  { stdin, stdout, stderr, tty }: Wanted,
): Promise<RemoteProcess> {
  const { User } = container.record.config;
  const streams = { attachStdin: stdin, attachStdout: stdout, attachStderr: stderr || tty, detachKeys: "" };
  const started = engine.execs.create(container, { ...streams, Cmd: cmd, Tty: tty, ...(User ? { User } : {}) });
  const pending = new PendingAttach(started.attachPlan);
  await engine.execs.start(started, pending, undefined);
  const socket = (await pending.connection)?.socket;
  if (socket === undefined) throw new LighterError("unavailable", "the command could not be connected to");
  const resize = async (rows: number, columns: number) => void (await started.supervised?.resize(rows, columns));
  return { socket, exitCode: started.end, resize };
}

async function connect(container: Container, { stdin, stdout, stderr, tty }: Wanted): Promise<RemoteProcess> {
  const { StdinOnce } = container.record.config;
  const plan = { stdin, stdout, stderr: stderr || tty, closeStdinOnEnd: StdinOnce ?? false };
  const pending = await attachTo(container, container.id, plan, () => {});
  const socket = (await pending.connection)?.socket;
  if (socket === undefined)
    throw new LighterError("conflict", `container ${JSON.stringify(container.id)} is not running`);
  const resize = async (rows: number, columns: number) => void (await container.supervised?.resize(rows, columns));
  return { socket, exitCode: Promise.resolve(undefined), resize };
}
