/** POST /build with version=2: builds as BuildKit does, for clients that do not speak its API. Source: moby builder-next/builder.go. */

import { LighterError } from "../../base/errors.ts";
import { type BuildRequest, StepFailed } from "../../engine/mod.ts";
import { buildStatusType } from "../../spec/buildkit.ts";
import { parseGoJson } from "../../spec/go-json.ts";
import { list, string } from "../../spec/reader.ts";
import { build } from "../build/build.ts";
import { buildOptions, credentialsFor as headersCredentials } from "../build/build-options.ts";
import { type CacheOption, cacheImports } from "../build/cache-places.ts";
import { imageFetcher } from "../build/fetch-image.ts";
import { targetsOf as ownTargets } from "../build/outputs.ts";
import type { Query } from "../http/query.ts";
import type { AnswerCall } from "../http/router.ts";
import { ProgressStream } from "../streams/progress-stream.ts";
import { BuildFiles } from "./build-files.ts";
import { inputsOf } from "./session-inputs.ts";
import { loginOf } from "./session-login.ts";
import { targetsOf } from "./session-outputs.ts";
import { statusMessage } from "./status-message.ts";

const TRACE_ID = "moby.buildkit.trace";
const IMAGE_ID = "moby.image.id";
/** The `remote` of a client whose session has the files. */
const SESSION_REMOTE = "client-session";

/** POST /build */
export async function buildOfVersion(call: AnswerCall): Promise<void> {
  await (call.query.text("version") === "2" ? buildByBuildKit(call) : build(call));
}

async function buildByBuildKit({ daemon, query, request, response }: AnswerCall): Promise<void> {
  const options = buildOptions(query, true);
  const stream = new ProgressStream(response);
  const { signal } = stream;
  await stream.carry(async () => {
    const sessionId = query.text("session") || undefined;
    using _bound = daemon.buildkit.sessions.bind(sessionId ?? "", (reason) => stream.cancel(reason));
    const session = sessionId && (await daemon.buildkit.sessions.find(sessionId, signal));
    const client: Partial<BuildRequest> = {};
    const { dockerfile: filename, buildArgs, outputs = [] } = options;
    const transfer = {
      isPull: query.boolean("pull"),
      credentialsFor: (domain: string) =>
        session ? loginOf(session, domain, signal) : headersCredentials(request, domain),
      signal,
    };
    const none = { sessionId: undefined, signal, onPushed: () => {} };
    client.targets = ownTargets(daemon, { ...none, credentialsFor: (domain) => headersCredentials(request, domain) });
    let context: Pick<BuildRequest, "context" | "remote"> = { context: request, remote: options.remote };
    if (session) {
      const syntax = buildArgs.get("BUILDKIT_SYNTAX");
      const files = new BuildFiles({
        daemon,
        session,
        sessionId: sessionId!,
        filename,
        isApart: false,
        syntax,
        signal,
      });
      const { context: nothing, remote, ...served } = files.sources("");
      if (options.remote === SESSION_REMOTE) context = { context: nothing, remote };
      const { served: _, ...others } = served;
      Object.assign(client, options.remote === SESSION_REMOTE ? served : others);
      client.inputs = inputsOf(session, signal);
      client.targets = { ...client.targets, send: targetsOf(session, outputs, signal).send };
    }
    const asked: BuildRequest = {
      ...{ ...options, ...client, ...context, signal },
      cancel: (reason) => stream.cancel(reason),
      noCache: query.boolean("nocache"),
      cacheImports: cacheImports(daemon, cacheNames(query), { ...transfer, directory: refuseDirectory }),
      say: () => {},
      hasStepImages: false,
      wantsWarnings: true,
      fetchImage: imageFetcher(daemon, transfer),
      onStatus: (status) => {
        const aux = Buffer.from(buildStatusType.encode(statusMessage(status))).toString("base64");
        stream.send({ id: TRACE_ID, aux });
      },
      onFailure: () => {},
    };
    try {
      const { id } = await daemon.builder.build(asked);
      if (id !== "") stream.send({ id: IMAGE_ID, aux: { ID: id } });
    } catch (error) {
      if (!(error instanceof StepFailed)) throw error;
      stream.send({ errorDetail: { message: error.processText }, error: error.processText });
    }
  });
}

/** The parameter "cachefrom": names of images, as JSON. */
function cacheNames(query: Query): CacheOption[] {
  const text = query.text("cachefrom");
  const names = text === undefined ? [] : readNames(parseGoJson(Buffer.from(text)), "cachefrom");
  return names.map((ref) => ({ type: "registry", attrs: { ref } }));
}

const CACHES_MAX = 64;
const readNames = list(string, CACHES_MAX);

function refuseDirectory(): never {
  throw new LighterError("invalid", "this client keeps no cache");
}
