import { expect, test } from "bun:test";
import { definitionType, opType } from "../../spec/llb.ts";
import {
  digestOfVertex,
  type LayoutSource,
  type LocalSource,
  SCRATCH,
  sha256,
  type Vertex,
  verticesOf,
} from "../graph/llb.ts";
import { planBuild } from "../graph/plan.ts";
import { decodeGraph } from "./decode.ts";
import { encodeGraph } from "./encode.ts";

const DOCKERFILE = `
FROM a AS base
WORKDIR /w
COPY --chown=u:g --chmod=u+x x* y/ /d/
ADD https://example.com/f.tar /f/
ADD https://github.com/o/r.git#main:sub /git/
COPY <<one <<two /heredocs/
1
one
2
two
FROM scratch AS empty
COPY --from=base --exclude=*.o / /
FROM base
ARG HTTP_PROXY
COPY --link --chown=1000 --parents p/./q/r /l/
RUN --mount=type=bind,from=empty,source=/s,target=/b --mount=type=cache,id=c,target=/c,mode=0700,uid=5,sharing=locked \\
    --mount=type=tmpfs,target=/t,size=1m --mount=type=secret,id=s,env=S --mount=type=secret,id=f,required \\
    --mount=type=ssh --network=none true
RUN <<script
#!/bin/x
script
USER u
RUN ["x", "y"]
`;

async function plan(text: string): Promise<Vertex> {
  const { stages } = await planBuild(text, {
    ...{ buildArgs: new Map([["HTTP_PROXY", "http://p"]]), labels: {}, target: "", network: "default" },
    settings: {
      extraHosts: [{ host: "h", ip: "1.2.3.4" }],
      ulimits: [{ name: "nofile", soft: 1, hard: 2 }],
      ...{ cgroupParent: "/p", shmBytes: 4096 },
    },
    entitlements: new Set(),
    platform: { os: "linux", architecture: "amd64" },
    resolveImage: async () => ({ config: { Env: ["A=b"] }, reference: "docker.io/library/a:1" }),
  });
  return stages.at(-1)!.vertex!;
}

const OPTIONS = {
  names: new Map(),
  served: (op: LayoutSource | LocalSource) =>
    ({ ...op, session: "s1", exclude: ["x"], followPaths: ["y"] }) as LayoutSource | LocalSource,
  dockerfile: { filename: "Dockerfile", text: Buffer.from(DOCKERFILE) },
};

test("a Dockerfile's graph becomes a definition, which becomes the same graph", async () => {
  const graph = await plan(DOCKERFILE);
  const definition = definitionType.decode(definitionType.encode(encodeGraph(graph, OPTIONS)));
  const { operations, metadata, sources } = definition;
  const digests = operations.map(sha256);
  for (const [index, { inputs }] of operations.map((bytes) => opType.decode(bytes)).entries())
    for (const { digest } of inputs) expect(digests.slice(0, index)).toContain(digest);
  expect([...metadata.keys()].sort()).toEqual(digests.slice(0, -1).sort());
  expect(sources!.locations.size).toBeGreaterThan(5);
  expect(sources!.infos).toEqual([
    { filename: "Dockerfile", data: new Uint8Array(Buffer.from(DOCKERFILE)), language: "Dockerfile" },
  ]);

  const decoded = decodeGraph(definition);
  expect(digestOfVertex(decoded)).toBe(digests.at(-2)!);
  const encoded = encodeGraph(decoded, { ...OPTIONS, served: (op) => op });
  expect(encoded.operations!.map(sha256)).toEqual(digests);
  expect([...verticesOf(decoded)].map(({ op }) => op.kind)).toEqual([...verticesOf(graph)].map(({ op }) => op.kind));
});

test("an empty root file system is an empty definition", () => {
  expect(decodeGraph(definitionType.decode(definitionType.encode(encodeGraph(SCRATCH, OPTIONS))))).toBe(SCRATCH);
});
