/**
 * A front end for tests, which runs in a container: it calls BuildKit's gateway on its standard streams. A line of its Dockerfile says
 * what it does; see the cases below.
 */
import { existsSync, readdirSync } from "node:fs";
import { Duplex } from "node:stream";
import { GrpcClient } from "../../src/grpc/client.ts";
import {
  bridgeSolveAnswerType,
  bridgeSolveType,
  fileDataType,
  inputsType,
  readFileType,
  returnType,
} from "../../src/spec/buildkit.ts";
import type { DraftOf } from "../../src/spec/protobuf.ts";
import { Graph } from "./llb-graph.ts";

const options = new Map(
  Object.entries(process.env).flatMap(([name, value = ""]): [string, string][] => {
    if (!name.startsWith("BUILDKIT_FRONTEND_OPT_")) return [];
    const at = value.indexOf("=");
    return [[value.slice(0, at), value.slice(at + 1)]];
  }),
);
const session = process.env.BUILDKIT_SESSION_ID ?? "";

const stdio = new Duplex({
  read: () => process.stdin.resume(),
  write: (chunk, _encoding, done) => void process.stdout.write(chunk, () => done()),
});
process.stdin.on("data", (chunk) => stdio.push(chunk));
process.stdin.on("end", () => stdio.push(null));
const client = new GrpcClient(stdio);
const call = (method: string, request: Uint8Array) =>
  client.unary(`/moby.buildkit.v1.frontend.LLBBridge/${method}`, request);
const solve = async (request: DraftOf<typeof bridgeSolveType>) =>
  bridgeSolveAnswerType.decode(await call("Solve", bridgeSolveType.encode(request))).result!;

const dockerfile = new Graph();
const local = dockerfile.source("local://dockerfile", { "local.session": session });
const { ref } = await solve({ definition: dockerfile.of(local) });
const data = fileDataType.decode(
  await call("ReadFile", readFileType.encode({ ref: ref!.id, path: "Dockerfile" })),
).data;
const written = Buffer.from(data).toString();
const [, verb = "", text = ""] = /^(?:# )?(show|dockerfile|refuse|fail|hang|nothing) ?(.*)$/m.exec(written) ?? [];

/** An image with what there is to see from here. */
async function show(): Promise<DraftOf<typeof returnType>> {
  const workers = JSON.parse(process.env.BUILDKIT_WORKERS ?? "");
  const { definitions } = inputsType.decode(await call("Inputs", new Uint8Array()));
  const seen = {
    text,
    cmdline: options.get("cmdline"),
    argument: options.get("build-arg:A"),
    platform: workers[0].Platforms[0].os,
    inputs: [...definitions.keys()],
    links: existsSync("/sys/class/net") ? readdirSync("/sys/class/net") : [],
  };
  const graph = new Graph();
  const image = graph.source("docker-image://tools:1");
  const makeFile = { path: "/seen", mode: 0o644, data: Buffer.from(JSON.stringify(seen)), timestamp: -1n };
  const made = graph.add({ file: { actions: [{ secondaryInput: -1, makeFile }] } }, image);
  const config = {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: { Env: ["PATH=/bin"] },
  };
  const result = await solve({ definition: graph.of(made) });
  return {
    result: { ref: result.ref, metadata: new Map([["containerimage.config", Buffer.from(JSON.stringify(config))]]) },
  };
}

switch (verb) {
  case "show":
    await call("Return", returnType.encode(await show()));
    break;
  case "dockerfile":
    // The built-in front end does the rest.
    await call(
      "Return",
      returnType.encode({ result: await solve({ frontend: "dockerfile.v0", frontendOptions: options }) }),
    );
    break;
  case "refuse":
    await call("Return", returnType.encode({ error: { code: 2, message: text, details: [] } }));
    break;
  case "fail":
    console.error(text);
    process.exit(7);
    break;
  case "hang":
    await new Promise(() => setInterval(() => {}, 1000));
}
process.exit(0);
