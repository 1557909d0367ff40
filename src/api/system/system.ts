/** Answers OPTIONS, ping and version. */
import { BUILT_AT, COMMIT, VERSION } from "../../base/version.ts";
import { API_VERSION, COMMON_HEADERS, MIN_API_VERSION, sendEmpty, sendJson } from "../http/protocol.ts";
import type { AnswerCall } from "../http/router.ts";

const NOT_CACHED = { "Cache-Control": "no-cache, no-store, must-revalidate", Pragma: "no-cache" };

/** OPTIONS of every path: answers without content, as Docker does. */
export function options({ response }: AnswerCall): void {
  sendEmpty(response, 200);
}

export function ping({ daemon, request, response }: AnswerCall): void {
  const body = request.method === "HEAD" ? "" : "OK";
  response.writeHead(200, {
    ...COMMON_HEADERS,
    ...NOT_CACHED,
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": body.length,
    "Builder-Version": daemon.settings.features.buildkit === false ? "1" : "2", // of the API that clients are to use
    Swarm: "inactive",
  });
  response.end(body);
}

export function version({ daemon, response }: AnswerCall): void {
  const details = {
    ApiVersion: API_VERSION,
    MinAPIVersion: MIN_API_VERSION,
    GitCommit: COMMIT,
    GoVersion: "",
    Os: "linux",
    Arch: daemon.host.arch,
    KernelVersion: daemon.host.kernelVersion,
    BuildTime: BUILT_AT,
  };
  sendJson(response, 200, {
    Platform: { Name: "Lighter" },
    Components: [{ Name: "Engine", Version: VERSION, Details: { ...details, Experimental: "false" } }],
    Version: VERSION,
    ...details,
  });
}
