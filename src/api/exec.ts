import { LighterError, messageOf } from "../base/errors.ts";
import { type Exec, PendingAttach } from "../engine/mod.ts";
import { detachKeysFor, isMultiplexed, joinPending, outputOf } from "./attach.ts";
import { asObject, readJsonBody } from "./body.ts";
import { encodeFrame } from "./frames.ts";
import { sendEmpty, sendJson } from "./protocol.ts";
import { pump } from "./pump.ts";
import type { AnswerCall, Call, StreamCall } from "./router.ts";

/** Fields of a body, each of one type or absent (null is absent, as Go has it). */
class Fields {
  readonly #object: Record<string, unknown>;

  constructor(body: unknown) {
    this.#object = asObject(body);
  }

  #read<T>(name: string, wanted: string, isWanted: (value: unknown) => value is T): T | undefined {
    const value = this.#object[name];
    if (value === undefined || value === null) return undefined;
    if (isWanted(value)) return value;
    throw new LighterError("invalid", `invalid JSON: ${name} must be ${wanted}`);
  }

  boolean(name: string): boolean {
    return this.#read(name, "true or false", (value) => typeof value === "boolean") ?? false;
  }

  /** A NUL would end the string in the kernel, after every check saw the whole. */
  text(name: string): string {
    const isText = (value: unknown): value is string => typeof value === "string" && !value.includes("\0");
    return this.#read(name, "a string without NUL", isText) ?? "";
  }

  texts(name: string): string[] {
    const isText = (value: unknown) => typeof value === "string" && !value.includes("\0");
    const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText);
    return this.#read(name, "a list of strings without NUL", isTexts) ?? [];
  }

  /** [height, width]; undefined if absent. */
  consoleSize(name: string): number[] | undefined {
    const isDimension = (value: unknown) => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 0xffff;
    const isSize = (value: unknown): value is number[] =>
      Array.isArray(value) && value.length === 2 && value.every(isDimension);
    return this.#read(name, "[height, width]", isSize);
  }
}

/** POST /containers/{id}/exec */
export async function createExec({ daemon, parameter, request, response }: AnswerCall): Promise<void> {
  const fields = new Fields(await readJsonBody(request));
  const container = daemon.engine.find(parameter("id"));
  const consoleSize = fields.consoleSize("ConsoleSize");
  const detachKeys = fields.text("DetachKeys");
  detachKeysFor(true, detachKeys || undefined, "escape");
  const exec = daemon.engine.execs.create(
    container,
    {
      attachStdin: fields.boolean("AttachStdin"),
      attachStdout: fields.boolean("AttachStdout"),
      attachStderr: fields.boolean("AttachStderr"),
      detachKeys,
      Tty: fields.boolean("Tty"),
      Env: fields.texts("Env"),
      Cmd: fields.texts("Cmd"),
      Privileged: fields.boolean("Privileged"),
      User: fields.text("User"),
      WorkingDir: fields.text("WorkingDir"),
      ...(consoleSize === undefined ? {} : { ConsoleSize: consoleSize }),
    },
    parameter("id"),
  );
  sendJson(response, 201, { Id: exec.id });
}

function execOf({ daemon, parameter }: Call): Exec {
  return daemon.engine.execs.find(parameter("id"));
}

/** POST /exec/{id}/start */
export async function startExec(call: StreamCall): Promise<void> {
  const { daemon, client } = call;
  const exec = execOf(call);
  const fields = new Fields(await client.readJson());
  const consoleSize = fields.consoleSize("ConsoleSize");
  if (exec.hasStarted) throw new LighterError("conflict", `Error: Exec command ${exec.id} has already run`);
  if (fields.boolean("Detach")) {
    await daemon.engine.execs.start(exec, undefined, consoleSize);
    client.finish();
    return;
  }
  const { tty, attachPlan: plan } = exec;
  const detachKeys = detachKeysFor(tty, exec.options.detachKeys || undefined, "escape");
  const begin = () => client.open(isMultiplexed(tty, call.apiMinor));
  const pending = new PendingAttach({ ...plan, ...outputOf(client, begin) });
  begin();
  try {
    await daemon.engine.execs.start(exec, pending, consoleSize);
  } catch (error) {
    // The stream is open, as clients expect before the start; so this is the place left to say why there is nothing.
    const message = `${messageOf(error)}\r\n`;
    client.output.write(tty ? message : encodeFrame("stdout", message));
    client.close();
    return;
  }
  const { stdin, closeStdinOnEnd } = plan;
  const onDetach = () => exec.container.publish("exec_detach", { execID: exec.id });
  await joinPending(client, pending, { stdin, closeStdinOnEnd, detachKeys, exitKnown: exec.end, onDetach });
}

/** POST /exec/{id}/resize */
export async function resizeExec(call: AnswerCall): Promise<void> {
  const [rows, columns] = [call.query.requiredInteger("h"), call.query.requiredInteger("w")];
  const { supervised, isRunning, id } = execOf(call);
  if (supervised === undefined || !isRunning)
    throw new LighterError("not-found", `process does not exist ${id}: not found`);
  await supervised.resize(rows, columns);
  sendEmpty(call.response, 200);
}

/** POST /lighter/exec/{id}/kill?signal=…: SIGKILL, if none is named. */
export async function killExec(call: AnswerCall): Promise<void> {
  await call.daemon.engine.execs.kill(execOf(call), call.query.text("signal"));
  sendEmpty(call.response, 204);
}

/** POST /lighter/exec/{id}/attach?stdin=…&stdout=…&stderr=…: the streams of one that runs, from now on. */
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

/** GET /lighter/containers/{id}/execs: all that are known, oldest first, each as it is inspected. */
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
    DetachKeys: options.detachKeys,
    Pid: exec.pid,
  };
}
