import { LighterError, messageOf } from "../base/errors.ts";
import { type Exec, PendingAttach } from "../engine/mod.ts";
import { detachKeysFor, isMultiplexed, joinPending } from "./attach.ts";
import { asObject, readJsonBody } from "./body.ts";
import { encodeFrame } from "./frames.ts";
import { sendEmpty, sendJson } from "./protocol.ts";
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
  detachKeysFor(true, detachKeys || undefined);
  const exec = daemon.engine.createExec(container, {
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
  });
  sendJson(response, 201, { Id: exec.id });
}

function execOf({ daemon, parameter }: Call): Exec {
  return daemon.engine.findExec(parameter("id"));
}

/** POST /exec/{id}/start */
export async function startExec(call: StreamCall): Promise<void> {
  const { daemon, client } = call;
  const exec = execOf(call);
  const fields = new Fields(await client.readJson());
  const consoleSize = fields.consoleSize("ConsoleSize");
  if (exec.hasStarted) throw new LighterError("conflict", `Error: Exec command ${exec.id} has already run`);
  if (fields.boolean("Detach")) {
    await daemon.engine.startExec(exec, undefined, consoleSize);
    client.finish();
    return;
  }
  const { tty, attachPlan: plan } = exec;
  const detachKeys = detachKeysFor(tty, exec.options.detachKeys || undefined);
  const pending = new PendingAttach(plan);
  client.open(isMultiplexed(tty, call.apiMinor));
  try {
    await daemon.engine.startExec(exec, pending, consoleSize);
  } catch (error) {
    // The stream is open, as clients expect before the start; so this is the place left to say why there is nothing.
    const message = `${messageOf(error)}\r\n`;
    client.output.write(tty ? message : encodeFrame("stdout", message));
    client.close();
    return;
  }
  const { stdin, closeStdinOnEnd } = plan;
  await joinPending(client, pending, { stdin, closeStdinOnEnd, detachKeys, exitKnown: exec.exitKnown });
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

/** GET /exec/{id}/json */
export function inspectExec(call: AnswerCall): void {
  const exec = execOf(call);
  const { options } = exec;
  const [entrypoint = "", ...args] = options.Cmd;
  sendJson(call.response, 200, {
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
  });
}
