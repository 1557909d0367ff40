/** Types for the used part of the package ws (8.18), which Bun has built in. No package with types is installed for it. */
declare module "ws" {
  import type { EventEmitter } from "node:events";
  import type { IncomingMessage } from "node:http";
  import type { Duplex } from "node:stream";

  interface WebSocket extends EventEmitter {
    on(event: "message", listener: (message: Buffer, isBinary: boolean) => void): this;
    on(event: "error", listener: (error: Error) => void): this;
    on(event: "close", listener: (code: number) => void): this;
    pause(): void;
    resume(): void;
    /** Sends a message; calls `done` when there is room for more. */
    send(message: Buffer, options: { binary: boolean }, done: (error?: Error) => void): void;
    close(code: number): void;
    terminate(): void;
  }

  class WebSocketServer extends EventEmitter {
    constructor(options: { noServer: true; maxPayload: number });
    handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, open: (webSocket: WebSocket) => void): void;
  }
}
