/** Runs further processes in containers: Docker's exec, and lighter's own requests to kill, list and rejoin them. */
import { parseDetachKeys } from "../../base/detach-keys.ts";
import { LighterError, messageOf } from "../../base/errors.ts";
import { EXEC_READY_MS } from "../../base/limits.ts";
import { settlesWithin } from "../../base/timer.ts";
import { type Exec, FrameReader, PendingAttach } from "../../engine/mod.ts";
import { handled, parseBody } from "../../spec/body-fields.ts";
import { readJsonBody } from "../http/body.ts";
import { sendEmpty, sendJson } from "../http/protocol.ts";
import type { AnswerCall, Call, StreamCall } from "../http/router.ts";
import { encodeFrame } from "../streams/frames.ts";
import { type PumpOptions, pump } from "../streams/pump.ts";
import { detachKeysFor, isMultiplexed, joinPending, outputOf } from "./attach.ts";

interface ExecBody {
  AttachStdin?: boolean;
  AttachStdout?: boolean;
  AttachStderr?: boolean;
  ConsoleSize?: unknown;
  DetachKeys?: string;
  Tty?: boolean;
  Env?: string[];
  Cmd?: string[];
  Privileged?: boolean;
  User?: string;
  WorkingDir?: string;
}

const EXEC_FIELDS = {
  AttachStdin: handled("boolean"),
  AttachStdout: handled("boolean"),
  AttachStderr: handled("boolean"),
  ConsoleSize: handled("any"),
  DetachKeys: handled("string"),
  Tty: handled("boolean"),
  Env: handled("strings"),
  Cmd: handled("strings"),
  Privileged: handled("boolean"),
  User: handled("string"),
  WorkingDir: handled("string"),
} satisfies Record<keyof ExecBody, unknown>;

interface ExecStartBody {
  Detach?: boolean;
  Tty?: boolean;
  ConsoleSize?: unknown;
}

const EXEC_START_FIELDS = {
  Detach: handled("boolean"),
  Tty: handled("boolean"),
  ConsoleSize: handled("any"),
} satisfies Record<keyof ExecStartBody, unknown>;

const CONSOLE_SIZE_SINCE = 42;

/** Checks a console size, [height, width]. @throws LighterError "invalid" */
function parseConsoleSize(size: unknown): number[] | undefined {
  if (size === undefined) return undefined;
  const isDimension = (value: unknown) => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 0xffff;
  if (Array.isArray(size) && size.length === 2 && size.every(isDimension)) return size;
  throw new LighterError("invalid", "ConsoleSize: must be [height, width], each from 0 to 65535");
}

/** POST /containers/{id}/exec */
export async function createExec(call: AnswerCall): Promise<void> {
  sendJson(call.response, 201, { Id: createFrom(call, parseBody(await readJsonBody(call.request), EXEC_FIELDS)).id });
}

function createFrom({ daemon, parameter }: Call, body: ExecBody): Exec {
  const { Cmd = [] } = body;
  if (Cmd.length === 0) throw new LighterError("invalid", "No exec command specified");
  const container = daemon.engine.find(parameter("id"));
  const consoleSize = parseConsoleSize(body.ConsoleSize);
  const { DetachKeys: detachKeys = "" } = body;
  detachKeysFor(true, detachKeys || undefined, "escape");
  return daemon.engine.execs.create(
    container,
    {
      attachStdin: body.AttachStdin ?? false,
      attachStdout: body.AttachStdout ?? false,
      attachStderr: body.AttachStderr ?? false,
      detachKeys,
      Tty: body.Tty ?? false,
      Env: body.Env ?? [],
      Cmd,
      Privileged: body.Privileged ?? false,
      User: body.User ?? "",
      WorkingDir: body.WorkingDir ?? "",
      ...(consoleSize === undefined ? {} : { ConsoleSize: consoleSize }),
    },
    parameter("id"),
  );
}

function execOf({ daemon, parameter }: Call): Exec {
  return daemon.engine.execs.find(parameter("id"));
}

/** POST /exec/{id}/start */
export async function startExec(call: StreamCall): Promise<void> {
  const { daemon, client } = call;
  const body: ExecStartBody = parseBody(await client.readJson(), EXEC_START_FIELDS);
  const size = parseConsoleSize(body.ConsoleSize);
  const exec = execOf(call);
  const tty = body.Tty ?? false; // the stream's form; whether the process has a terminal was decided when it was created
  const consoleSize = tty && call.apiMinor >= CONSOLE_SIZE_SINCE ? size : undefined;
  if (exec.hasStarted) throw new LighterError("conflict", `Error: Exec command ${exec.id} has already run`);
  if (body.Detach) {
    await daemon.engine.execs.start(exec, undefined, consoleSize);
    client.finish();
    return;
  }
  await serveStart(call, exec, { tty, consoleSize });
}

/**
 * POST /lighter/containers/{id}/exec: creates an exec, starts it and waits, in one request with the body of create. The stream is
 * that of a start, with one more frame after all output: "exited".
 */
export async function runExec(call: StreamCall): Promise<void> {
  const body: ExecBody = parseBody(await call.client.readJson(), EXEC_FIELDS);
  if (body.Tty) throw new LighterError("invalid", "Tty: a terminal's stream has no place for the exit code");
  const exec = createFrom(call, body);
  const lastWords = () => encodeFrame("exited", JSON.stringify({ StatusCode: exec.exitCode }));
  await serveStart(call, exec, { tty: false, lastWords });
}

interface StartOptions extends Pick<PumpOptions, "lastWords"> {
  /** Whether the client's stream is a terminal's. */
  tty: boolean;
  consoleSize?: readonly number[] | undefined;
}

async function serveStart(call: StreamCall, exec: Exec, { tty, consoleSize, ...options }: StartOptions): Promise<void> {
  const { daemon, client } = call;
  const { attachPlan: plan } = exec;
  const detachKeys = detachKeysFor(exec.tty, exec.options.detachKeys || undefined, "escape");
  const begin = () => client.open(isMultiplexed(tty, call.apiMinor));
  const reframe = reframerFor(exec.tty, tty);
  const pending = new PendingAttach({ ...plan, ...(reframe === undefined ? outputOf(client, begin) : {}) });
  begin();
  try {
    await daemon.engine.execs.start(exec, pending, consoleSize);
  } catch (error) {
    // The stream is already open, as clients expect before the start, so the reason for a failure is written into it.
    const message = `${messageOf(error)}\r\n`;
    client.output.write(tty ? message : encodeFrame("stdout", message));
    if (options.lastWords !== undefined) client.output.write(options.lastWords());
    client.close();
    return;
  }
  const { stdin, closeStdinOnEnd } = plan;
  const onDetach = () => exec.container.publish("exec_detach", { execID: exec.id });
  const joined = await joinPending(client, pending, {
    ...{ stdin, closeStdinOnEnd, detachKeys, onDetach, reframe },
    ...options,
  });
  if (!joined) client.close();
}

/**
 * A function that turns the process's output into the form that the client asked for, if they differ: frames, or a terminal's
 * plain bytes.
 */
function reframerFor(processTty: boolean, clientTty: boolean): ((chunk: Buffer) => Buffer) | undefined {
  if (processTty === clientTty) return undefined;
  if (processTty) return (chunk) => encodeFrame("stdout", chunk);
  const frames = new FrameReader();
  return (chunk) => frames.push(chunk);
}

/** POST /exec/{id}/resize: clients ask for it right after the start. */
export async function resizeExec(call: AnswerCall): Promise<void> {
  const [rows, columns] = [call.query.requiredInteger("h"), call.query.requiredInteger("w")];
  const exec = execOf(call);
  if (!(await settlesWithin(exec.ready, EXEC_READY_MS)))
    throw new LighterError("internal", "timeout waiting for exec session ready");
  const { supervised, isRunning, id } = exec;
  if (supervised === undefined || !isRunning)
    throw new LighterError("not-found", `process does not exist ${id}: not found`);
  await supervised.resize(rows, columns);
  sendEmpty(call.response, 200);
}

/** POST /lighter/exec/{id}/kill?signal=…: sends SIGKILL unless a signal is named. */
export async function killExec(call: AnswerCall): Promise<void> {
  await call.daemon.engine.execs.kill(execOf(call), call.query.text("signal"));
  sendEmpty(call.response, 204);
}

/** POST /lighter/exec/{id}/attach?stdin=…&stdout=…&stderr=…: joins the streams of a running process, from now on. */
export async function attachExec(call: StreamCall): Promise<void> {
  const { query, client } = call;
  const exec = execOf(call);
  const { tty, options } = exec;
  const stdin = query.boolean("stdin") && options.attachStdin;
  const plan = { stdin, stdout: query.boolean("stdout"), stderr: query.boolean("stderr"), closeStdinOnEnd: !tty };
  const detachKeys = detachKeysFor(tty, query.text("detachKeys"));
  const connection = await call.daemon.engine.execs.attach(exec, plan);
  client.open(isMultiplexed(tty, call.apiMinor));
  const { closeStdinOnEnd } = plan;
  await pump(client, connection, { stdin, closeStdinOnEnd, detachKeys, exitKnown: exec.end });
}

/** GET /lighter/containers/{id}/execs: lists all known execs, oldest first, each in the form of its inspect. */
export function listExecs(call: AnswerCall): void {
  const container = call.daemon.engine.find(call.parameter("id"));
  sendJson(call.response, 200, [...container.execs.values()].map(describeExec));
}

/** GET /exec/{id}/json */
export function inspectExec(call: AnswerCall): void {
  sendJson(call.response, 200, describeExec(execOf(call)));
}

function describeExec(exec: Exec): object {
  const { options } = exec;
  const [entrypoint = "", ...args] = options.Cmd;
  return {
    ID: exec.id,
    Running: exec.isRunning,
    ExitCode: exec.exitCode ?? null,
    ProcessConfig: {
      tty: exec.tty,
      entrypoint,
      arguments: args,
      privileged: options.Privileged ?? false,
      ...(options.User ? { user: options.User } : {}),
    },
    OpenStdin: options.attachStdin,
    OpenStderr: options.attachStderr,
    OpenStdout: options.attachStdout,
    CanRemove: exec.exitCode !== undefined,
    ContainerID: exec.container.id,
    DetachKeys: Buffer.from(parseDetachKeys(options.detachKeys) ?? []).toString("base64"),
    Pid: exec.pid,
  };
}
