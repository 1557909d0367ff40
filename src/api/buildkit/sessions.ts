/** Sessions: connections on which clients of BuildKit's API serve files, secrets and credentials to the builds they ask for. */
import { setTimeout as sleep } from "node:timers/promises";
import { LighterError } from "../../base/errors.ts";
import { SESSION_HEALTH_MS, SESSION_WAIT_MS } from "../../base/limits.ts";
import type { GrpcClient } from "../../grpc/client.ts";
import { GrpcError, UNIMPLEMENTED } from "../../grpc/status.ts";

const HEADER = "x-docker-expose-session-";
const HEALTH = "/grpc.health.v1.Health/Check";

interface Announced {
  id: string;
  methods: readonly string[];
  sharedKey?: string;
}

export class Session {
  readonly #client: GrpcClient;
  readonly #methods: ReadonlySet<string>;

  /** Stands for what the client serves in all of its sessions; "": nothing does. */
  readonly sharedKey: string;

  constructor(client: GrpcClient, { methods, sharedKey = "" }: Omit<Announced, "id">) {
    this.#client = client;
    this.#methods = new Set(methods);
    this.sharedKey = sharedKey;
  }

  /** Tells whether the client serves the method "/package.Service/Method". One that has named none may serve any. */
  has(method: string): boolean {
    return this.#methods.size === 0 || this.#methods.has(method);
  }

  call(...call: Parameters<GrpcClient["call"]>): ReturnType<GrpcClient["call"]> {
    return this.#client.call(...call);
  }

  callInBatches(...call: Parameters<GrpcClient["callInBatches"]>): ReturnType<GrpcClient["callInBatches"]> {
    return this.#client.callInBatches(...call);
  }

  unary(...call: Parameters<GrpcClient["unary"]>): ReturnType<GrpcClient["unary"]> {
    return this.#client.unary(...call);
  }
}

/** When clients are asked how they are, and how long they have for the answer. */
interface HealthTimes {
  intervalMs: number;
  timeoutMs: number;
}

/** The sessions of all clients, by the id that each has chosen. */
export class Sessions {
  readonly #health: HealthTimes;
  readonly #sessions = new Map<string, Session>();
  /** Builds that were told of a session before it came. */
  readonly #waiting = new Map<string, Set<(session: Session) => void>>();
  /** Builds that end with their session. */
  readonly #bound = new Map<string, Set<(reason: LighterError) => void>>();

  constructor(health: HealthTimes = SESSION_HEALTH_MS) {
    this.#health = health;
  }

  /** Reads the headers, or metadata, that announce a session. @throws LighterError "invalid", also for an id in use */
  announced(valuesOf: (key: string) => readonly string[]): Announced {
    const [id = ""] = valuesOf(`${HEADER}uuid`);
    if (id === "") throw new LighterError("invalid", "the session has no id");
    if (this.#sessions.has(id)) throw new LighterError("invalid", `session ${id} already exists`);
    const methods = valuesOf(`${HEADER}grpc-method`).flatMap((list) => list.split(/,\s*/));
    return { id, methods, sharedKey: valuesOf(`${HEADER}sharedkey`)[0] ?? "" };
  }

  /** Serves a session until its client goes away, or does not answer any more. */
  async carry({ id, ...announced }: Announced, client: GrpcClient): Promise<void> {
    const session = new Session(client, announced);
    this.#sessions.set(id, session);
    for (const take of this.#waiting.get(id) ?? []) take(session);
    try {
      await Promise.race([client.closed, untilIll(client, this.#health)]);
    } finally {
      client[Symbol.dispose]();
      this.#sessions.delete(id);
      const reason = new LighterError("unavailable", "the client's session has ended");
      for (const end of this.#bound.get(id) ?? []) end(reason);
    }
  }

  /** Calls `end` when the session ends, which need not have come yet, until what is returned is disposed of. */
  bind(id: string, end: (reason: LighterError) => void): Disposable {
    const bound = this.#bound.get(id) ?? new Set();
    this.#bound.set(id, bound.add(end));
    return {
      [Symbol.dispose]: () => {
        bound.delete(end);
        if (bound.size === 0 && this.#bound.get(id) === bound) this.#bound.delete(id);
      },
    };
  }

  /** Resolves with the session, which may come a little later than the build that needs it. @throws LighterError "not-found" */
  async find(id: string, signal: AbortSignal): Promise<Session> {
    const session = this.#sessions.get(id);
    if (session !== undefined) return session;
    const { promise, resolve } = Promise.withResolvers<Session>();
    const waiting = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, waiting.add(resolve));
    const stop = new AbortController();
    const timeout = sleep(SESSION_WAIT_MS, undefined, { signal: AbortSignal.any([signal, stop.signal]) }).then(() => {
      throw new LighterError("not-found", `no active session for ${id}: context deadline exceeded`);
    });
    try {
      return await Promise.race([promise, timeout]);
    } finally {
      stop.abort();
      timeout.catch(() => {}); // it was aborted
      waiting.delete(resolve);
      if (waiting.size === 0) this.#waiting.delete(id);
    }
  }
}

/** Resolves when the client has not answered twice. That it does not know its health is an answer, too. */
async function untilIll(client: GrpcClient, { intervalMs, timeoutMs }: HealthTimes): Promise<void> {
  for (let failures = 0; failures < 2; ) {
    await sleep(intervalMs, undefined, { ref: false });
    try {
      await client.unary(HEALTH, new Uint8Array(), { signal: AbortSignal.timeout(timeoutMs) });
      failures = 0;
    } catch (error) {
      failures = error instanceof GrpcError && error.status.code === UNIMPLEMENTED ? 0 : failures + 1;
    }
  }
}
