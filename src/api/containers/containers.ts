/** Creates, starts, stops, inspects, changes and removes containers. */
import { LighterError } from "../../base/errors.ts";
import {
  type Container,
  createContainer,
  explainContainer,
  killContainer,
  listExplanation,
  listProcesses,
  parseUpdateBody,
  pauseContainer,
  readAnatomy,
  readCreateBody,
  removeContainer,
  removeLink,
  renameContainer,
  resizeContainer,
  restartContainer,
  type StopOptions,
  startContainer,
  stopContainer,
  stopForHost,
  traceContainer,
  unpauseContainer,
  untilRunning,
  updateContainer,
  type WaitCondition,
} from "../../engine/mod.ts";
import { readJsonBody, required } from "../http/body.ts";
import { COMMON_HEADERS, sendEmpty, sendJson, sendText } from "../http/protocol.ts";
import type { AnswerCall, Call } from "../http/router.ts";
import { shapeFor } from "../http/versions.ts";
import { measureContainers } from "../system/measure.ts";
import { inspectContainer } from "./container-view.ts";

function containerOf({ daemon, parameter }: Call): Container {
  return daemon.engine.find(parameter("id"));
}

/** POST /containers/create */
export async function create(call: AnswerCall): Promise<void> {
  sendJson(call.response, 201, await createFrom(call, required(await readJsonBody(call.request))));
}

/** Creates a container from the request's JSON, `given`; returns the answer's JSON. @throws LighterError */
export async function createFrom(
  { daemon, query, apiMinor }: Call,
  given: unknown,
): Promise<{ Id: string; Warnings: string[] }> {
  const body = shapeFor("create", apiMinor, readCreateBody(given));
  checkEndpointCount(body, apiMinor);
  if (apiMinor < OWN_IPC_SINCE && body.HostConfig) body.HostConfig.IpcMode ||= "shareable";
  const platform = query.text("platform");
  const shallowReadOnly = apiMinor < RECURSIVE_READ_ONLY_SINCE;
  const hostCgroupns = apiMinor < OWN_CGROUPNS_SINCE;
  const options = { platform, shallowReadOnly, hostCgroupns };
  const { id, warnings } = await createContainer(daemon.engine, body, query.text("name"), options);
  return { Id: id, Warnings: [...warnings, ...deprecations(body, apiMinor)] };
}

type CreateBody = ReturnType<typeof readCreateBody>;

const SEVERAL_ENDPOINTS_SINCE = 44;
const RECURSIVE_READ_ONLY_SINCE = 44;
/** Before this version, a container's IPC namespace was shareable by default. */
const OWN_IPC_SINCE = 40;
/** Before this version, a container saw the host's cgroups on a host with cgroup v1. */
const OWN_CGROUPNS_SINCE = 41;
/** Before this version, an update did not change PidsLimit. */
const PIDS_UPDATE_SINCE = 40;

function checkEndpointCount({ NetworkingConfig }: CreateBody, apiMinor: number): void {
  const names = Object.keys(NetworkingConfig?.EndpointsConfig ?? {});
  if (apiMinor < SEVERAL_ENDPOINTS_SINCE && names.length > 1)
    throw new LighterError(
      "invalid",
      `Container cannot be created with multiple network endpoints: ${names.sort().join(", ")}`,
    );
}

function deprecations({ MacAddress }: CreateBody, apiMinor: number): string[] {
  if (!MacAddress || apiMinor < SEVERAL_ENDPOINTS_SINCE) return [];
  return ["The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."];
}

/** POST /lighter/explain: takes the body of create; answers with the program that would run, as text or as JSON. With `trace` it runs. */
export async function explain({ daemon, query, request, response }: AnswerCall): Promise<void> {
  const body = required(await readJsonBody(request));
  const ask = query.boolean("trace") ? traceContainer : explainContainer;
  const explanation = await ask(daemon.engine, body, query.text("platform"));
  if (query.text("format") === "json") sendJson(response, 200, explanation);
  else sendText(response, await listExplanation(explanation));
}

/** GET /lighter/containers/{id}/anatomy */
export function anatomy(call: AnswerCall): void {
  sendJson(call.response, 200, readAnatomy(call.daemon.engine, containerOf(call)));
}

/** GET /containers/{id}/json */
export async function inspect(call: AnswerCall): Promise<void> {
  const container = containerOf(call);
  const [size = {}] = call.query.boolean("size") ? await measureContainers(call.daemon, [container]) : [];
  const inspected = { ...inspectContainer(call.daemon, container, call.apiMinor), ...size };
  sendJson(call.response, 200, shapeFor("container", call.apiMinor, inspected));
}

/** A start's body of up to this length is ignored, as by Docker: it is shorter than any JSON object with a field. */
const EMPTY_BODY_MAX_BYTES = 7;

/** POST /containers/{id}/start */
export async function start(call: AnswerCall): Promise<void> {
  const { "content-length": length = "0", "transfer-encoding": encoding } = call.request.headers;
  if (encoding !== undefined || Number(length) > EMPTY_BODY_MAX_BYTES)
    throw new LighterError(
      "invalid",
      "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
    );
  const hasStarted = await startContainer(call.daemon.engine, containerOf(call));
  sendEmpty(call.response, hasStarted ? 204 : 304);
}

function stopOptions({ query }: Call): StopOptions {
  return { signal: query.text("signal"), timeoutSeconds: query.integer("t") };
}

/** POST /containers/{id}/stop */
export async function stop(call: AnswerCall): Promise<void> {
  const [container, options] = [containerOf(call), stopOptions(call)];
  const hasStopped = await withContext(`cannot stop container: ${call.parameter("id")}`, () =>
    stopContainer(call.daemon.engine, container, options),
  );
  sendEmpty(call.response, hasStopped ? 204 : 304);
}

const SHUTDOWN_TIMEOUT_S = 80;

/** POST /lighter/shutdown: stops all containers, because the host goes down. */
export async function shutDown({ daemon, query, response }: AnswerCall): Promise<void> {
  await stopForHost(daemon.engine, (query.integer("t") ?? SHUTDOWN_TIMEOUT_S) * 1000);
  sendEmpty(response, 204);
}

/** POST /containers/{id}/restart */
export async function restart(call: AnswerCall): Promise<void> {
  const [container, options] = [containerOf(call), stopOptions(call)];
  await withContext(`Cannot restart container ${call.parameter("id")}`, () =>
    restartContainer(call.daemon.engine, container, options),
  );
  sendEmpty(call.response, 204);
}

/** Runs `act`; puts `context` before the message of an error. */
async function withContext<T>(context: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof LighterError)) throw error;
    throw new LighterError(error.code, `${context}: ${error.message}`, { ...error.detail, cause: error });
  }
}

/** POST /containers/{id}/kill */
export async function kill(call: AnswerCall): Promise<void> {
  await withContext(`cannot kill container: ${call.parameter("id")}`, async () =>
    killContainer(call.daemon.engine, containerOf(call), call.query.text("signal")),
  );
  sendEmpty(call.response, 204);
}

/** POST /containers/{id}/pause */
export async function pause(call: AnswerCall): Promise<void> {
  await pauseContainer(containerOf(call));
  sendEmpty(call.response, 204);
}

/** POST /containers/{id}/unpause */
export async function unpause(call: AnswerCall): Promise<void> {
  await unpauseContainer(containerOf(call));
  sendEmpty(call.response, 204);
}

/** POST /containers/{id}/update */
export async function update(call: AnswerCall): Promise<void> {
  const body = parseUpdateBody(await readJsonBody(call.request));
  if (call.apiMinor < PIDS_UPDATE_SINCE) delete body.PidsLimit;
  const warnings = await updateContainer(containerOf(call), body, call.daemon.host);
  sendJson(call.response, 200, { Warnings: warnings.length === 0 ? null : warnings });
}

/** GET /containers/{id}/top */
export async function top(call: AnswerCall): Promise<void> {
  const { titles, processes } = await listProcesses(containerOf(call), call.query.text("ps_args"));
  sendJson(call.response, 200, { Processes: processes, Titles: titles });
}

/** POST /containers/{id}/rename */
export async function rename(call: AnswerCall): Promise<void> {
  await renameContainer(call.daemon.engine, containerOf(call), call.query.text("name") ?? "");
  sendEmpty(call.response, 204);
}

/** DELETE /containers/{id} */
export async function remove(call: AnswerCall): Promise<void> {
  if (call.query.boolean("link"))
    throw new LighterError("internal", "Conflict, cannot remove the default link name of the container"); // Docker's status
  await removeContainer(call.daemon.engine, containerOf(call), {
    force: call.query.boolean("force"),
    volumes: call.query.boolean("v"),
  });
  sendEmpty(call.response, 204);
}

/** DELETE /containers/{id}/{alias}?link=1: removes a link, not the container that it leads to. */
export async function unlink(call: AnswerCall): Promise<void> {
  const [id, alias] = [call.parameter("id"), call.parameter("alias")];
  if (!call.query.boolean("link")) throw new LighterError("not-found", `No such container: ${id}/${alias}`);
  await removeLink(call.daemon.engine, containerOf(call), alias);
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

/** The condition for which Docker has no word: a machine is up, and any other container runs. */
const RUNNING = "running";

async function waitForRunning(call: AnswerCall, signal: AbortSignal): Promise<object> {
  const container = containerOf(call);
  const exitCode = await untilRunning(container, call.daemon.engine.events, signal);
  if (exitCode === undefined) return { StatusCode: 0 };
  const message = `container ${container.record.name} has ended before it was running`;
  return { StatusCode: exitCode, Error: { Message: message } };
}

/** POST /containers/{id}/wait */
export async function wait(call: AnswerCall): Promise<void> {
  const { query, response } = call;
  const given = query.text("condition") ?? "";
  const condition = Object.hasOwn(CONDITIONS, given) ? CONDITIONS[given] : undefined;
  if (condition === undefined && given !== RUNNING)
    throw new LighterError("invalid", `invalid condition: ${JSON.stringify(given)}`);
  const container = containerOf(call);
  const signal = closedSignal(call);
  const answer =
    condition === undefined
      ? waitForRunning(call, signal)
      : container.wait(condition, signal).then((StatusCode) => ({ StatusCode }));
  // The head is sent at once: a client starts the container when it sees that the wait has begun.
  response.writeHead(200, { ...COMMON_HEADERS, "Content-Type": "application/json" });
  response.flushHeaders();
  try {
    response.end(`${JSON.stringify(await answer)}\n`);
  } catch (error) {
    if (!response.destroyed) throw error;
  }
}

/** A signal that is aborted when the client goes away. */
export function closedSignal({ response }: AnswerCall): AbortSignal {
  const controller = new AbortController();
  response.on("close", () => controller.abort());
  return controller.signal;
}
