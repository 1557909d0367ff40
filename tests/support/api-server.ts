/** The API on its own socket, with a fake runtime, for one test. */
import { mkdtempSync, rmSync } from "node:fs";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Jobs } from "../../src/api/buildkit/jobs.ts";
import { Sessions } from "../../src/api/buildkit/sessions.ts";
import { type Daemon, DEFAULT_SETTINGS } from "../../src/api/daemon/daemon-state.ts";
import { Router } from "../../src/api/http/router.ts";
import { routes } from "../../src/api/http/routes.ts";
import { createServer } from "../../src/api/http/server.ts";
import { Metrics } from "../../src/api/system/request-metrics.ts";
import { openEngine } from "../../src/engine/mod.ts";
import { ApiClient } from "./api-client.ts";
import { FakeHostNetwork } from "./fake-network.ts";
import { FakeRuntime } from "./fake-runtime.ts";

export class ApiServer extends ApiClient implements AsyncDisposable {
  readonly directory: string;
  readonly runtime = new FakeRuntime();
  readonly network = new FakeHostNetwork();
  #server: Server | undefined;
  #daemon: Daemon | undefined;

  readonly #headTimeoutMs: number | undefined;

  private constructor(directory: string, headTimeoutMs: number | undefined) {
    super(join(directory, "api.sock"), true);
    this.directory = directory;
    this.#headTimeoutMs = headTimeoutMs;
  }

  static async start({ headTimeoutMs }: { headTimeoutMs?: number } = {}): Promise<ApiServer> {
    const server = new ApiServer(mkdtempSync(join(tmpdir(), "lighter-api-")), headTimeoutMs);
    await server.#start();
    return server;
  }

  /** What the routes are given. */
  get daemon(): Daemon {
    return this.#daemon!;
  }

  get engine() {
    return this.daemon.engine;
  }

  get images() {
    return this.daemon.images;
  }

  async #start(): Promise<void> {
    const [dataRoot, execRoot] = [join(this.directory, "data"), join(this.directory, "exec")];
    const opened = await openEngine({ dataRoot, execRoot, runtime: this.runtime, hostNetwork: this.network });
    for (const trash of opened.trashes) trash.begin();
    this.#daemon = {
      ...opened,
      settings: DEFAULT_SETTINGS,
      metrics: new Metrics(),
      clientSessions: new Map(),
      buildkit: { jobs: new Jobs(), sessions: new Sessions() },
    };
    this.#server = createServer(
      this.#daemon,
      new Router(routes),
      this.#headTimeoutMs === undefined ? {} : { headTimeoutMs: this.#headTimeoutMs },
    );
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.listen(this.socketPath, resolve);
    await promise;
  }

  async #stop(): Promise<void> {
    this.disconnect();
    this.#server?.close();
    await this.#daemon?.engine[Symbol.asyncDispose]();
    await this.#daemon?.images[Symbol.asyncDispose]();
  }

  /** Opens another engine on the same directories, as after a daemon's death. `between` runs while there is none. */
  async restart(between: () => void = () => {}): Promise<void> {
    await this.#stop();
    between();
    await this.#start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    this.runtime.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
