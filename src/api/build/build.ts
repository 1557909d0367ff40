/** Docker's classic POST /build, and the cache of builds. */
import { finished } from "node:stream/promises";
import { LighterError } from "../../base/errors.ts";
import {
  type BuildRequest,
  type ProvenanceOptions,
  parseProvenance,
  StepFailed,
  type StepTerminal,
} from "../../engine/mod.ts";
import { parseGoJson } from "../../spec/go-json.ts";
import {
  BUILD_FAILURE_ID,
  BUILD_RESULT_ID,
  BUILD_SHELL_ID,
  SOLVE_STATUS_ID,
  SOLVE_STATUS_TYPE,
} from "../../spec/solve-status.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import type { Query } from "../http/query.ts";
import type { AnswerCall } from "../http/router.ts";
import { failureOf, ProgressStream } from "../streams/progress-stream.ts";
import { buildOptions, credentialsFor } from "./build-options.ts";
import { cacheExports, cacheImports } from "./cache-places.ts";
import { findSession } from "./client-session.ts";
import { imageFetcher } from "./fetch-image.ts";
import { readTypes, resultOf, targetsOf } from "./outputs.ts";

/** POST /build */
export async function build(call: AnswerCall): Promise<void> {
  const { daemon, query, request, response } = call;
  const hasStatus = request.headers.accept === SOLVE_STATUS_TYPE;
  refuseUnknown(query, hasStatus);
  const sessionId = hasStatus ? query.text("session") : undefined;
  const stream = new ProgressStream(response);
  const { signal } = stream;
  const options = {
    ...buildOptions(query, hasStatus),
    ...(sessionId === undefined ? {} : ofSession(findSession(daemon.clientSessions, sessionId), query, stream)),
    noCache: query.boolean("nocache") || (!hasStatus && lacksCache(daemon, query)),
    provenance: provenanceOf(query),
  };
  const answers: Record<string, string> = {};
  const quiet = query.boolean("q");
  const transfer = {
    isPull: query.boolean("pull"),
    credentialsFor: (domain: string) => credentialsFor(request, domain),
    signal,
  };
  const listeners = {
    say: (text: string) => (quiet || hasStatus ? undefined : stream.send({ stream: text })),
    ...(quiet ? {} : { onImage: (ID: string) => stream.send({ aux: { ID } }) }),
    onStatus: (aux: object) => (hasStatus ? stream.send({ id: SOLVE_STATUS_ID, aux }) : undefined),
    wantsWarnings: hasStatus,
    hasStepImages: !hasStatus,
    ...(hasStatus ? cachesOf(daemon, query, { sessionId, ...transfer }) : {}),
    onAnswer: (name: string, value: string) => {
      answers[name] = value;
    },
    onFailure: (aux: object) => (hasStatus ? stream.send({ id: BUILD_FAILURE_ID, aux }) : undefined),
    fetchImage: imageFetcher(daemon, transfer),
  };
  const work = async () => {
    try {
      const pushed: string[] = [];
      const onPushed = (digest: string) => void pushed.push(digest);
      const targets = targetsOf(daemon, { ...transfer, sessionId, onPushed });
      const cancel = (reason: LighterError) => stream.cancel(reason);
      const asked = { context: request, ...options, targets, signal, cancel, ...listeners };
      if (hasStatus && query.text("call") === "explain") {
        stream.send({ id: BUILD_RESULT_ID, aux: { text: await daemon.builder.explain(asked) } });
        return;
      }
      const built = await daemon.builder.build(asked);
      if (quiet) stream.send({ stream: `${built.id}\n` });
      if (hasStatus)
        stream.send({
          id: BUILD_RESULT_ID,
          aux: {
            ...resultOf({ built, digest: pushed.at(-1), outputs: options.outputs ?? [], tags: options.tags }),
            ...answers,
          },
        });
    } catch (error) {
      if (!(error instanceof StepFailed)) throw error;
      stream.send(failureMessage(error, hasStatus));
    }
  };
  await stream.carry(work);
}

/** What a client is told of a step that has failed. */
function failureMessage(error: StepFailed, hasStatus: boolean): object {
  const { errorDetail, ...rest } = failureOf(error) as { errorDetail: object };
  const text = hasStatus ? { error: error.processText } : {};
  const message = hasStatus ? { message: error.processText } : {};
  return { errorDetail: { code: error.exitCode, ...errorDetail, ...message }, ...rest, ...text };
}

/** Waits for the end of a shell: the failure of another command would end the build, and the shell with it. */
async function usedUp(terminal: StepTerminal | undefined): Promise<undefined> {
  if (terminal !== undefined) await finished(terminal.stream, { readable: false }).catch(() => {}); // the client has gone
}

/** What a build gets of its client's session. */
function ofSession(
  session: ReturnType<typeof findSession>,
  query: Query,
  stream: ProgressStream,
): Pick<BuildRequest, "inputs" | "namedContext"> & Partial<Pick<BuildRequest, "context" | "contextFile">> {
  session.endWith(stream.signal);
  let shell: ReturnType<typeof session.shell> | undefined;
  const inputs: BuildRequest["inputs"] = {
    secret: (id) => session.secret(id),
    ssh: (id) => session.ssh(id),
    debug: async ({ command, exitCode }) => {
      if (shell !== undefined) return await usedUp(await shell);
      shell = session.shell();
      const terminal = await shell;
      if (terminal !== undefined) stream.send({ id: BUILD_SHELL_ID, aux: { command, exitCode } });
      return terminal;
    },
  };
  return {
    ...{ inputs, namedContext: ({ name }) => session.context(name) },
    ...(query.boolean("contextsent")
      ? { context: session.sentContext, contextFile: (path) => session.contextFile(path) }
      : {}),
  };
}

/** The caches that are kept elsewhere: [{"Type": "registry", "Attrs": {"ref": "…"}}]. */
function cachesOf(
  daemon: Daemon,
  query: Query,
  { sessionId, ...transfer }: Omit<Parameters<typeof cacheImports>[2], "directory"> & { sessionId: string | undefined },
): Pick<BuildRequest, "cacheImports" | "cacheExports" | "hasInlineCache"> {
  const client = {
    ...transfer,
    directory: (path: string) => {
      if (sessionId === undefined) throw new LighterError("invalid", "a cache of the client needs a session");
      return findSession(daemon.clientSessions, sessionId).directory(path);
    },
  };
  const optionsOf = (name: string) =>
    readTypes(query, name).map(({ Type, Attrs = {} }) => ({ type: Type, attrs: Attrs }));
  return {
    cacheImports: cacheImports(daemon, optionsOf("cacheimports"), client),
    ...cacheExports(daemon, optionsOf("cacheexports"), client),
  };
}

/** Refuses, by name, each option that Docker has and this daemon does not support. */
function refuseUnknown(query: Query, hasStatus: boolean): void {
  for (const name of ["squash", ...(hasStatus ? [] : ["session"])])
    if (query.has(name) && !["", "0", "false"].includes(query.text(name) ?? ""))
      throw new LighterError("not-supported", `building with "${name}" is not supported yet`);
  const isolation = query.text("isolation") ?? "";
  if (!["", "default"].includes(isolation))
    throw new LighterError("invalid", `unsupported isolation: ${JSON.stringify(isolation)}`);
}

function provenanceOf(query: Query): ProvenanceOptions | undefined {
  const text = query.text("provenance");
  return text === undefined ? undefined : parseProvenance(text);
}

/** Tells whether the images whose steps alone may be taken for done are missing, so that none may. */
function lacksCache({ images }: Daemon, query: Query): boolean {
  const text = query.text("cachefrom");
  const names: unknown = text === undefined ? [] : parseGoJson(Buffer.from(text));
  if (!Array.isArray(names)) return false;
  return names.length > 0 && !names.some((name) => typeof name === "string" && images.isThere(name));
}
