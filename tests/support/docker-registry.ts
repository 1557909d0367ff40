/** Debian's docker-registry on a free port of 127.0.0.1, with its data in a temporary directory. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const PROGRAM = "/usr/bin/docker-registry";

export const hasDockerRegistry = existsSync(PROGRAM);

export interface DockerRegistryOptions {
  /** Names and passwords of users who may do anything; other users may do nothing. Without it anybody may do anything. */
  readonly users?: Readonly<Record<string, string>>;
  /** Puts the command into a network namespace: see NetworkNamespace. */
  readonly inside?: (...argv: string[]) => string[];
  /** PEM files. Without them the registry speaks plain HTTP. */
  readonly tls?: { readonly certPath: string; readonly keyPath: string };
}

const START_ATTEMPTS = 5;

export class DockerRegistry implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #directory: string;

  private constructor(
    /** "127.0.0.1:PORT", as in image references. */
    readonly host: string,
    directory: string,
    process: ChildProcess,
    ended: Promise<void>,
  ) {
    this.#directory = directory;
    this.#process = process;
    this.#ended = ended;
  }

  /**
   * Starts a registry. It cannot bind port 0, so another program may take the free port that was found; then another port is
   * tried.
   */
  static async start(options: DockerRegistryOptions = {}): Promise<DockerRegistry> {
    let log = "";
    for (let attempt = 0; attempt < START_ATTEMPTS; attempt++) {
      const host = `127.0.0.1:${await findFreePort()}`;
      const directory = mkdtempSync(join(tmpdir(), "lighter-docker-registry-"));
      const configPath = join(directory, "config.json");
      writeFileSync(configPath, JSON.stringify(await makeConfig(host, directory, options))); // JSON is YAML
      const argv = [PROGRAM, "serve", configPath];
      const [program = "", ...args] = options.inside?.(...argv) ?? argv;
      const child = spawn(program, args, {
        stdio: ["ignore", "ignore", "pipe"],
        env: {}, // variables named REGISTRY_… would change its configuration
      });
      const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
      const listening = Promise.withResolvers<"listening">();
      log = "";
      createInterface({ input: child.stderr }).on("line", (line) => {
        log += `${line}\n`;
        if (line.includes("listening on")) listening.resolve("listening");
      });
      if ((await Promise.race([listening.promise, ended])) === "listening")
        return new DockerRegistry(host, directory, child, ended);
      rmSync(directory, { recursive: true, force: true });
      if (!log.includes("address already in use")) break;
    }
    throw new Error(`docker-registry did not start:\n${log}`);
  }

  /** The directory in which the registry keeps blobs and tags. */
  get dataPath(): string {
    return join(this.#directory, "data");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#ended;
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

async function makeConfig(host: string, directory: string, options: DockerRegistryOptions): Promise<object> {
  const { users, tls } = options;
  const passwordsPath = join(directory, "htpasswd");
  if (users !== undefined) {
    const lines = Object.entries(users).map(
      // bcrypt's fewest rounds: the registry checks the password at every request.
      async ([name, password]) => `${name}:${await Bun.password.hash(password, { algorithm: "bcrypt", cost: 4 })}\n`,
    );
    writeFileSync(passwordsPath, (await Promise.all(lines)).join(""));
  }
  return {
    version: "0.1",
    storage: {
      filesystem: { rootdirectory: join(directory, "data") },
      delete: { enabled: true },
      maintenance: { uploadpurging: { enabled: false } },
    },
    http: {
      addr: host,
      secret: "of this test only",
      ...(tls === undefined ? {} : { tls: { certificate: tls.certPath, key: tls.keyPath } }),
    },
    ...(users === undefined ? {} : { auth: { htpasswd: { realm: "test-realm", path: passwordsPath } } }),
  };
}

/** Finds a port that is free now. */
function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
