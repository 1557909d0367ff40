import { LighterError } from "../base/errors.ts";
import {
  type Container,
  kill as killContainer,
  listProcesses,
  pause as pauseContainer,
  resize as resizeContainer,
  restart as restartContainer,
  type StopOptions,
  stop as stopContainer,
  unpause as unpauseContainer,
  updateContainer,
  type WaitCondition,
} from "../engine/mod.ts";
import { readJsonBody } from "./body.ts";
import { inspectContainer, measureContainer } from "./container-view.ts";
import { COMMON_HEADERS, sendEmpty, sendJson, sendText } from "./protocol.ts";
import type { AnswerCall, Call } from "./router.ts";
import { shapeFor, shapeIfObject } from "./versions.ts";

function containerOf({ daemon, parameter }: Call): Container {
  return daemon.engine.find(parameter("id"));
}

/** POST /containers/create */
export async function createContainer({ daemon, query, request, response, apiMinor }: AnswerCall): Promise<void> {
  const body = shapeIfObject("create", apiMinor, await readJsonBody(request));
  const { id, warnings } = daemon.engine.create(body, query.text("name"), query.text("platform"));
  sendJson(response, 201, { Id: id, Warnings: warnings });
}

/** POST /lighter/explain: body as create; the program that would run, as text. */
export async function explain({ daemon, query, request, response }: AnswerCall): Promise<void> {
  const body = await readJsonBody(request);
  sendText(response, daemon.engine.explain(body, query.text("platform")));
}

/** GET /containers/{id}/json */
export async function inspect(call: AnswerCall): Promise<void> {
  const container = containerOf(call);
  const size = call.query.boolean("size") ? await measureContainer(call.daemon, container) : {};
  const inspected = { ...inspectContainer(call.daemon, container), ...size };
  sendJson(call.response, 200, shapeFor("container", call.apiMinor, inspected));
}

/** POST /containers/{id}/start */
export async function start(call: AnswerCall): Promise<void> {
  const hasStarted = await call.daemon.engine.start(containerOf(call));
  sendEmpty(call.response, hasStarted ? 204 : 304);
}

function stopOptions({ query }: Call): StopOptions {
  return { signal: query.text("signal"), timeoutSeconds: query.integer("t") };
}

/** POST /containers/{id}/stop */
export async function stop(call: AnswerCall): Promise<void> {
  const hasStopped = await stopContainer(call.daemon.engine, containerOf(call), stopOptions(call));
  sendEmpty(call.response, hasStopped ? 204 : 304);
}

/** POST /containers/{id}/restart */
export async function restart(call: AnswerCall): Promise<void> {
  await restartContainer(call.daemon.engine, containerOf(call), stopOptions(call));
  sendEmpty(call.response, 204);
}

/** POST /containers/{id}/kill */
export async function kill(call: AnswerCall): Promise<void> {
  await killContainer(call.daemon.engine, containerOf(call), call.parameter("id"), call.query.text("signal"));
  sendEmpty(call.response, 204);
}

/** POST /containers/{id}/pause */
export async function pause(call: AnswerCall): Promise<void> {
  await pauseContainer(call.daemon.engine, containerOf(call));
  sendEmpty(call.response, 204);
}

/** POST /containers/{id}/unpause */
export async function unpause(call: AnswerCall): Promise<void> {
  await unpauseContainer(call.daemon.engine, containerOf(call));
  sendEmpty(call.response, 204);
}

/** POST /containers/{id}/update */
export async function update(call: AnswerCall): Promise<void> {
  const body = await readJsonBody(call.request);
  const warnings = await updateContainer(call.daemon.engine, containerOf(call), body, call.daemon.host);
  sendJson(call.response, 200, { Warnings: warnings.length === 0 ? null : warnings });
}

/** GET /containers/{id}/top */
export async function top(call: AnswerCall): Promise<void> {
  const { titles, processes } = await listProcesses(call.daemon.engine, containerOf(call), call.query.text("ps_args"));
  sendJson(call.response, 200, { Processes: processes, Titles: titles });
}

/** POST /containers/{id}/rename */
export async function rename(call: AnswerCall): Promise<void> {
  await call.daemon.engine.rename(containerOf(call), call.query.text("name") ?? "");
  sendEmpty(call.response, 204);
}

/** DELETE /containers/{id} */
export async function remove(call: AnswerCall): Promise<void> {
  if (call.query.boolean("link")) throw new LighterError("not-supported", "container links are not available");
  await call.daemon.engine.remove(containerOf(call), {
    force: call.query.boolean("force"),
    volumes: call.query.boolean("v"),
  });
  sendEmpty(call.response, 204);
}

/** POST /containers/{id}/resize */
export async function resize(call: AnswerCall): Promise<void> {
  const [rows, columns] = [call.query.requiredInteger("h"), call.query.requiredInteger("w")];
  await resizeContainer(containerOf(call), rows, columns);
  sendEmpty(call.response, 200);
}

const CONDITIONS: Readonly<Record<string, WaitCondition>> = {
  "": "not-running",
  "not-running": "not-running",
  "next-exit": "next-exit",
  removed: "removed",
};

/** POST /containers/{id}/wait */
export async function wait(call: AnswerCall): Promise<void> {
  const { query, response } = call;
  const given = query.text("condition") ?? "";
  const condition = Object.hasOwn(CONDITIONS, given) ? CONDITIONS[given] : undefined;
  if (condition === undefined) throw new LighterError("invalid", `invalid condition: ${JSON.stringify(given)}`);
  const exitCode = containerOf(call).wait(condition, closedSignal(call));
  // At once: a client starts the container when it sees that the wait has begun.
  response.writeHead(200, { ...COMMON_HEADERS, "Content-Type": "application/json" });
  response.flushHeaders();
  try {
    response.end(`${JSON.stringify({ StatusCode: await exitCode })}\n`);
  } catch (error) {
    if (!response.destroyed) throw error;
  }
}

/** Aborted when the client goes away. */
export function closedSignal({ response }: AnswerCall): AbortSignal {
  const controller = new AbortController();
  response.on("close", () => controller.abort());
  return controller.signal;
}
