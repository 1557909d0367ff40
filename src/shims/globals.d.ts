/**
 * The globals of the small engine, as `globals.ts` makes them: `tsc -p src/shims` checks the sources of the short commands against
 * these and the modules of this folder, in place of the types of Node and Bun.
 */
declare var process: typeof import("./process.ts").processShim;
declare var console: typeof import("./console.ts").consoleShim;
declare var crypto: Pick<typeof import("./crypto.ts"), "getRandomValues" | "randomUUID">;
declare var performance: { now: typeof import("./loop.ts").nowMs };
declare var setTimeout: typeof import("./loop.ts").setTimeout;
declare var setInterval: typeof import("./loop.ts").setInterval;
declare var setImmediate: typeof import("./loop.ts").setImmediate;
declare var clearTimeout: typeof import("./loop.ts").clearTimeout;
declare var clearInterval: typeof import("./loop.ts").clearTimeout;
declare function queueMicrotask(work: () => void): void;

declare var Buffer: typeof import("./buffer.ts").Buffer;
type Buffer<_Memory = ArrayBuffer> = import("./buffer.ts").Buffer;
declare var TextEncoder: typeof import("./text.ts").TextEncoder;
declare var TextDecoder: typeof import("./text.ts").TextDecoder;
type TextDecoder = import("./text.ts").TextDecoder;

declare var Bun: typeof import("./bun.ts").bunShim;
declare namespace Bun {
  type Socket<_Data> = import("./socket.ts").BunSocket;
  type SocketHandler<_Data> = Parameters<typeof Bun.connect>[0]["socket"];
  type Subprocess = ReturnType<typeof import("./bun.ts").bunShim.spawn>;
}

declare namespace NodeJS {
  type Signals = import("../base/signals.ts").SignalName;
  type ProcessEnv = Record<string, string | undefined>;
  type Timeout = import("./loop.ts").Timer;
  interface ErrnoException extends Error {
    code?: string;
    errno?: number;
    syscall?: string;
    path?: string;
  }
}

type Timer = import("./loop.ts").Timer;

/** Nobody makes one here: some functions take one from the daemon. */
interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(event: "abort", call: () => void): void;
  removeEventListener(event: "abort", call: () => void): void;
}

interface ImportMeta {
  readonly dirname: string;
}
