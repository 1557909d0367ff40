/** A client of engines' APIs for measurements. */
import { Agent, request as httpRequest } from "node:http";
import { connect } from "node:net";

/** A client of an engine's API that costs little beside what it measures. It throws for a status of 400 and more. */
export class Api {
  readonly #socketPath: string;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  request(method: string, path: string, body?: object): Promise<any> {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const headers = payload === undefined ? {} : { "Content-Type": "application/json" };
    return new Promise((resolve, reject) => {
      const options = { socketPath: this.#socketPath, agent: this.#agent, method, path, headers };
      const request = httpRequest(options, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          if ((response.statusCode ?? 500) >= 400) reject(new Error(`${method} ${path}: ${text}`));
          else resolve(text === "" ? undefined : JSON.parse(text));
        });
      });
      request.on("error", reject);
      request.end(payload);
    });
  }

  /**
   * Opens a new connection for a stream whose content is discarded. `opened` resolves with the answer's first bytes, `began` when
   * more have come, `ended` at the end with their number.
   */
  stream(method: string, path: string, options: { upgrade?: boolean; body?: object } = {}): Stream {
    const payload = options.body === undefined ? "" : JSON.stringify(options.body);
    const headers = ["Host: d", "Content-Type: application/json", `Content-Length: ${payload.length}`];
    headers.push(...(options.upgrade ? ["Connection: Upgrade", "Upgrade: tcp"] : ["Connection: close"]));
    const socket = connect(this.#socketPath);
    socket.write(`${method} ${path} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n${payload}`);
    const opened = Promise.withResolvers<void>();
    const began = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<number>();
    let bytes = 0;
    socket.on("data", (chunk: Buffer) => {
      if (bytes === 0 && !/^HTTP\/1.1 (101|2)/.test(chunk.toString("latin1"))) ended.reject(new Error(`${chunk}`));
      if (bytes > 0) began.resolve();
      bytes += chunk.length;
      opened.resolve();
    });
    socket.on("error", ended.reject);
    socket.on("close", () => ended.resolve(bytes));
    return {
      opened: opened.promise,
      began: began.promise,
      ended: ended.promise,
      write: (text) => socket.write(text),
      close: () => socket.destroy(),
    };
  }

  async create(body: object): Promise<string> {
    const HostConfig = { NetworkMode: "none", ...(body as { HostConfig?: object }).HostConfig };
    return (await this.request("POST", "/containers/create", { ...body, HostConfig })).Id;
  }

  async run(body: object): Promise<string> {
    const id = await this.create(body);
    await this.request("POST", `/containers/${id}/start`);
    return id;
  }

  async remove(id: string): Promise<void> {
    await this.request("DELETE", `/containers/${id}?force=1`);
  }

  /** Closes idle connections. */
  close(): void {
    this.#agent.destroy();
  }
}

export interface Stream {
  opened: Promise<void>;
  began: Promise<void>;
  ended: Promise<number>;
  write(text: string): void;
  close(): void;
}
