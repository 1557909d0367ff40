/** Checks Dockerfiles without building them. */
import { LighterError } from "../../base/errors.ts";
import { lookAtDockerfile } from "../../engine/mod.ts";
import { readJsonBody } from "../http/body.ts";
import { sendJson } from "../http/protocol.ts";
import type { AnswerCall } from "../http/router.ts";

/**
 * POST /lighter/dockerfile?call=check|outline|targets: answers a question about a Dockerfile, without building it.
 */
export async function answerDockerfile({ daemon, query, request, response }: AnswerCall): Promise<void> {
  const body = (await readJsonBody(request)) as Record<string, unknown> | null | undefined;
  const textOf = (name: string) => {
    const value = body?.[name] ?? undefined;
    if (value !== undefined && typeof value !== "string") throw new LighterError("invalid", `${name} is not a text`);
    return value;
  };
  const buildArgs = Object.entries((body?.BuildArgs ?? {}) as object).map(
    ([name, value]) => [name, `${value}`] as const,
  );
  const dockerignore = textOf("Dockerignore");
  const { text, failed } = lookAtDockerfile(daemon.images, {
    call: query.text("call") || "check",
    filename: textOf("Filename") ?? "Dockerfile",
    dockerfile: textOf("Dockerfile") ?? "",
    ...(dockerignore === undefined ? {} : { dockerignore }),
    buildArgs: new Map(buildArgs),
    platform: query.text("platform") ?? "",
    targetStage: query.text("target") ?? "",
  });
  sendJson(response, 200, { Text: text, Failed: failed });
}
