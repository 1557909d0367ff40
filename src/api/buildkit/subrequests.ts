/** Questions about a Dockerfile by BuildKit's API, in place of builds. Source: moby/buildkit frontend/subrequests (names, versions). */
import { LighterError } from "../../base/errors.ts";
import { lookAtDockerfile } from "../../engine/mod.ts";
import type { Daemon } from "../daemon/daemon-state.ts";

const VERSION = "1.0.0";
const RESULT = ["result.json", "result.txt"];

interface Subrequest {
  description: string;
  metadata: readonly string[];
  /** What it is called elsewhere: see `lookAtDockerfile`. Undefined: it asks for this table. */
  call?: string;
}

const SUBREQUESTS: Readonly<Record<string, Subrequest>> = {
  "frontend.outline": {
    description: "List all parameters current build target supports",
    metadata: RESULT,
    call: "outline",
  },
  "frontend.targets": {
    description: "List all targets current build supports",
    metadata: RESULT,
    call: "targets",
  },
  "frontend.lint": {
    description: "Lint a Dockerfile",
    metadata: [...RESULT, "result.statuscode"],
    call: "check",
  },
  "frontend.subrequests.describe": {
    description: "List available subrequest types",
    metadata: ["result.json"],
  },
};

export interface Question {
  id: string;
  filename: string;
  buildArgs: ReadonlyMap<string, string>;
  platform: string;
  target: string;
  /** Reads the Dockerfile, and .dockerignore if there is one. */
  read: () => Promise<{ dockerfile: string; dockerignore?: string }>;
}

/** Answers with the metadata of a result. @throws LighterError "invalid" for an unknown request, and for a malformed Dockerfile */
export async function answerSubrequest({ images }: Daemon, question: Question): Promise<Map<string, Uint8Array>> {
  const subrequest = Object.hasOwn(SUBREQUESTS, question.id) ? SUBREQUESTS[question.id]! : undefined;
  if (subrequest === undefined) throw new LighterError("invalid", `unsupported request ${question.id}`);
  const { call } = subrequest;
  if (call === undefined) return encode({ "result.json": JSON.stringify(describeAll(), undefined, 2) });
  const { target: targetStage, id: _, read, ...rest } = question;
  const { text, description, failed } = lookAtDockerfile(images, { ...rest, ...(await read()), call, targetStage });
  return encode({
    "result.json": JSON.stringify(description, undefined, 2),
    "result.txt": text,
    ...(subrequest.metadata.includes("result.statuscode") ? { "result.statuscode": failed ? "1" : "0" } : {}),
  });
}

function describeAll(): object[] {
  return Object.entries(SUBREQUESTS).map(([Name, { description, metadata }]) => ({
    ...{ Name, Version: VERSION, Type: "rpc", Description: description },
    Metadata: metadata.map((name) => ({ Name: name })),
  }));
}

function encode(texts: Record<string, string>): Map<string, Uint8Array> {
  return new Map(Object.entries({ ...texts, version: VERSION }).map(([key, text]) => [key, Buffer.from(text)]));
}
