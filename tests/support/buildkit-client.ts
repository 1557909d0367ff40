/** A client of BuildKit's API: it asks for builds of LLB, and serves directories and files to them by its session. */
import { connect, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { sendTree } from "../../src/engine/build/send-tree.ts";
import { GrpcClient } from "../../src/grpc/client.ts";
import { type Method, serveGrpc } from "../../src/grpc/server.ts";
import { GrpcError, NOT_FOUND } from "../../src/grpc/status.ts";
import {
  bridgeSolveAnswerType,
  bridgeSolveType,
  fileDataType,
  readFileType,
  returnType,
  secretRequestType,
  secretType,
  solveAnswerType,
  solveType,
} from "../../src/spec/buildkit.ts";
import type { Definition } from "../../src/spec/llb.ts";
import type { DraftOf } from "../../src/spec/protobuf.ts";
import { rawTar } from "./image-tar.ts";

/**
 * Opens a connection that leaves HTTP/1.1. `head`: the answer, with what follows it if it is a refusal; `stream`: what comes after
 * it, of which nothing is lost however late it is read.
 */
export async function upgrade(
  socketPath: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ head: string; socket: Socket; stream: Duplex }> {
  const socket = connect(socketPath);
  const lines = Object.entries({ Host: "d", Connection: "Upgrade", Upgrade: "h2c", ...headers });
  socket.write(`POST ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`);
  const stream = new Duplex({
    read: () => {},
    write: (chunk, _encoding, done) => void socket.write(chunk, done),
    final: (done) => void socket.end(done),
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  const answered = Promise.withResolvers<string>();
  let head = "";
  let isOver = false;
  socket.on("data", (chunk: Buffer) => {
    if (isOver) return void stream.push(chunk);
    head += chunk.toString("latin1");
    const [, accepted, rest = ""] = /^(HTTP\/1.1 101 .*?\r\n\r\n)(.*)$/s.exec(head) ?? [];
    if (accepted === undefined && !/\r\n\r\n.+/s.test(head)) return;
    isOver = true;
    if (accepted !== undefined && rest !== "") stream.push(Buffer.from(rest, "latin1"));
    answered.resolve(accepted ?? head);
  });
  socket.once("error", answered.reject);
  socket.once("close", () => {
    answered.reject(new Error(`${path}: the daemon has closed the connection`));
    stream.destroy();
  });
  return { head: await answered.promise, socket, stream };
}

interface Served {
  directories?: Record<string, Record<string, string>>;
  secrets?: Record<string, string>;
  /** Methods by their paths, also in place of those for directories and secrets. */
  methods?: Readonly<Record<string, Method>>;
}

export const DIFF_COPY = "/moby.filesync.v1.FileSync/DiffCopy";
export const FILE_SEND = "/moby.filesync.v1.FileSend/DiffCopy";

const GET_SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret";

export class BuildkitClient implements AsyncDisposable {
  readonly grpc: GrpcClient;
  readonly sessionId: string;
  readonly #session: Socket;
  #builds = 0;

  static async connect(socketPath: string, served: Served = {}): Promise<BuildkitClient> {
    const sessionId = crypto.randomUUID();
    const { directories = {}, secrets = {} } = served;
    const methods: Record<string, Method> = {
      [DIFF_COPY]: directoriesOf(directories),
      [GET_SECRET]: secretsOf(secrets),
      ...served.methods,
    };
    const { socket, stream } = await upgrade(socketPath, "/session", {
      "X-Docker-Expose-Session-Uuid": sessionId,
      "X-Docker-Expose-Session-Grpc-Method": Object.keys(methods).join(","),
    });
    void serveGrpc(stream, new Map(Object.entries(methods)));
    const { stream: control } = await upgrade(socketPath, "/grpc");
    return new BuildkitClient(new GrpcClient(control), socket, sessionId);
  }

  private constructor(grpc: GrpcClient, session: Socket, sessionId: string) {
    this.grpc = grpc;
    this.#session = session;
    this.sessionId = sessionId;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.grpc[Symbol.dispose]();
    this.loseSession();
  }

  /** Closes the session alone. */
  loseSession(): void {
    this.#session.destroy();
  }

  /** Builds a Dockerfile whose context is the session's. */
  dockerfile(request: DraftOf<typeof solveType> = {}): Promise<Map<string, string>> {
    const frontendAttributes = new Map([
      ["filename", "Dockerfile"],
      ["force-network-mode", "none"],
    ]);
    return this.solve({ frontend: "dockerfile.v0", frontendAttributes, ...request });
  }

  /** Builds through the gateway. `use` returns what is exported. Resolves with the exporter's answer. */
  async build(
    request: DraftOf<typeof solveType>,
    use: (build: Build) => Promise<DraftOf<typeof returnType>["result"]>,
  ): Promise<Map<string, string>> {
    const ref = `${this.sessionId}-${this.#builds++}`;
    const solving = this.solve({ ...request, ref });
    solving.catch(() => {}); // whoever waits for it hears of it
    const build = new Build(this.grpc, ref);
    await build.call("Return", returnType.encode({ result: await use(build) }));
    return await solving;
  }

  /** Builds without the gateway, or waits for it. */
  async solve(request: DraftOf<typeof solveType>): Promise<Map<string, string>> {
    const whole = { ref: `${this.sessionId}-${this.#builds++}`, session: this.sessionId, ...request };
    const answer = await this.grpc.unary("/moby.buildkit.v1.Control/Solve", solveType.encode(whole));
    return solveAnswerType.decode(answer).exporterResponse;
  }
}

/** The calls of one build. */
export class Build {
  readonly #grpc: GrpcClient;
  readonly #ref: string;

  constructor(grpc: GrpcClient, ref: string) {
    this.#grpc = grpc;
    this.#ref = ref;
  }

  get metadata(): Record<string, string> {
    return { "buildkit-controlapi-buildid": this.#ref };
  }

  call(method: string, request: Uint8Array): Promise<Uint8Array> {
    return this.#grpc.unary(`/moby.buildkit.v1.frontend.LLBBridge/${method}`, request, { metadata: this.metadata });
  }

  stream(method: string, requests: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    return this.#grpc.call(`/moby.buildkit.v1.frontend.LLBBridge/${method}`, requests, { metadata: this.metadata });
  }

  async solve(request: DraftOf<typeof bridgeSolveType>) {
    return bridgeSolveAnswerType.decode(await this.call("Solve", bridgeSolveType.encode(request))).result!;
  }

  /** Solves a graph. Resolves with the id of the result. */
  async ref(definition: Definition): Promise<string> {
    return (await this.solve({ definition })).ref!.id;
  }

  async read(ref: string, path: string): Promise<string> {
    const answer = await this.call("ReadFile", readFileType.encode({ ref, path }));
    return Buffer.from(fileDataType.decode(answer).data).toString();
  }
}

export function directoriesOf(directories: Record<string, Record<string, string>>): Method {
  return (requests, { metadata }) => {
    const files = directories[metadata.get("dir-name")?.[0] ?? ""] ?? {};
    const tar = rawTar(
      ...Object.entries(files)
        .sort()
        .map(([name, content]) => ({ name, content })),
    );
    const chunks = (async function* () {
      yield tar;
    })();
    return sendTree(chunks, requests[Symbol.asyncIterator]());
  };
}

function secretsOf(secrets: Record<string, string>): Method {
  return async function* (requests) {
    for await (const request of requests) {
      const secret = secrets[secretRequestType.decode(request).id];
      if (secret === undefined) throw new GrpcError({ code: NOT_FOUND, message: "not found", details: [] });
      yield secretType.encode({ data: Buffer.from(secret) });
      return;
    }
  };
}
