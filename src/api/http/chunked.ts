/** Decodes chunked request bodies on connections that node:http has released. */
import type { Socket } from "node:net";
import { PassThrough, type Readable } from "node:stream";
import { ChunkDecoder } from "../../spec/chunk-decoder.ts";

/**
 * The payload of the chunked body that comes next on `socket`; what follows the body stays in the socket. A destroyed stream
 * reads nothing more.
 */
export function dechunked(socket: Socket): Readable {
  const body = new PassThrough();
  const decoder = new ChunkDecoder();
  const onData = (chunk: Buffer) => {
    try {
      const { payload, rest } = decoder.push(chunk);
      if (payload.length > 0) body.write(payload);
      if (rest === undefined) return;
      stop();
      socket.pause();
      if (rest.length > 0) socket.unshift(rest);
      body.end();
    } catch {
      body.destroy();
    }
  };
  const cut = () => body.destroy();
  const stop = () => socket.off("data", onData).off("end", cut).off("close", cut);
  body.on("close", stop);
  socket.on("data", onData).on("end", cut).on("close", cut).resume();
  return body;
}
