/** POST /grpc and POST /session: BuildKit's API, on connections that leave HTTP/1.1. */
import type { Duplex } from "node:stream";
import { finished } from "node:stream/promises";
import { LighterError, messageOf } from "../../base/errors.ts";
import { inSpan } from "../../base/spans.ts";
import { GrpcClient } from "../../grpc/client.ts";
import { type Method, serveGrpc } from "../../grpc/server.ts";
import { GrpcError, UNKNOWN } from "../../grpc/status.ts";
import { dechunked } from "../http/chunked.ts";
import { formatHead } from "../http/protocol.ts";
import type { UpgradeCall } from "../http/router.ts";
import { bridgeMethods, callerOf } from "./bridge.ts";
import { controlMethods } from "./control.ts";

/** Answers a request that has no Upgrade header. */
export function refuseWithoutUpgrade(): never {
  throw new LighterError("invalid", "no upgrade proto in request");
}

/** POST /grpc: the daemon serves. @throws LighterError "invalid" unless the client wants h2c */
export async function grpc(call: UpgradeCall): Promise<void> {
  const methods = [
    ...controlMethods(call.daemon),
    ...bridgeMethods(call.daemon, (each) => callerOf(call.daemon, each)),
  ];
  const served = methods.map(
    ([path, method]) => [path, withoutCodes(isSolve(path) ? traced(path, method) : method)] as const,
  );
  await serveGrpc(await acceptHttp2(call), new Map(served));
}

/** Whether calls of the method do work; the others look on, or last as long as their client. */
function isSolve(path: string): boolean {
  return path.endsWith("/Solve");
}

/** A method with one answer, in a span of its caller's trace. */
function traced(path: string, method: Method): Method {
  return async function* (requests, call) {
    const header = (name: string) => call.metadata.get(name)?.[0];
    const answers = method(requests, call)[Symbol.asyncIterator]();
    const caller = { traceparent: header("traceparent"), tracestate: header("tracestate") };
    const { done, value } = await inSpan(path.slice(1), () => answers.next(), caller);
    if (!done) yield value;
  };
}

/** The method with errors as BuildKit's: clients print the code of any other. */
function withoutCodes(method: Method): Method {
  return async function* (requests, call) {
    try {
      yield* method(requests, call);
    } catch (error) {
      if (error instanceof GrpcError) throw error;
      throw new GrpcError({ code: UNKNOWN, message: messageOf(error), details: [] });
    }
  };
}

/** POST /session: the client serves. @throws LighterError "invalid" unless the client wants h2c, and for an id in use */
export async function session(call: UpgradeCall): Promise<void> {
  const { daemon, request } = call;
  checkProtocol(call);
  const { sessions } = daemon.buildkit;
  const announced = sessions.announced((key) => [request.headers[key] ?? []].flat());
  await sessions.carry(announced, new GrpcClient(await acceptHttp2(call)));
}

function checkProtocol({ request: { headers } }: UpgradeCall): void {
  const protocol = headers.upgrade ?? "";
  if (protocol.toLowerCase() !== "h2c") throw new LighterError("invalid", `protocol ${protocol} not supported`);
}

/** Answers that the connection speaks HTTP/2 from now on. */
async function acceptHttp2(call: UpgradeCall): Promise<Duplex> {
  checkProtocol(call);
  const { socket, request } = call;
  // Some clients send a body in chunks, without any, whose end must not be taken for HTTP/2.
  if (request.headers["transfer-encoding"] !== undefined) await finished(dechunked(socket).resume());
  socket.once("end", () => socket.destroy()); // the server's sockets may be half open
  socket.write(formatHead(101, "Switching Protocols", { Connection: "Upgrade", Upgrade: "h2c" }));
  return socket;
}
