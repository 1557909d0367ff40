/** A client of the API for tests: it returns whole answers, and opens raw connections. */
import { Agent, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { connect, type Socket } from "node:net";

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  json: any;
}

export class ApiClient {
  readonly socketPath: string;
  /** The image of containers that are created without one. */
  image = "hello";
  readonly #keepAlive: boolean;
  #agent: Agent;

  /** `keepAlive`: whether connections are reused; that would fail at any time with a daemon that gets killed. */
  constructor(socketPath: string, keepAlive: boolean) {
    this.socketPath = socketPath;
    this.#keepAlive = keepAlive;
    this.#agent = new Agent({ keepAlive });
  }

  /** Closes the idle connections. */
  disconnect(): void {
    this.#agent.destroy();
    this.#agent = new Agent({ keepAlive: this.#keepAlive });
  }

  /** Sends a request. A `body` that is no string or Buffer is sent as JSON. */
  request(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const isRaw = typeof body === "string" || body instanceof Uint8Array;
    const payload = body === undefined ? undefined : isRaw ? body : JSON.stringify(body);
    const type: Record<string, string> = body === undefined || isRaw ? {} : { "Content-Type": "application/json" };
    const options = { socketPath: this.socketPath, agent: this.#agent, method, path, headers: { ...type, ...headers } };
    return new Promise((resolve, reject) => {
      const request = httpRequest(options, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          if (!response.complete)
            return reject(Object.assign(new Error("the answer was cut off"), { code: "ECONNRESET" }));
          const text = Buffer.concat(chunks).toString("latin1");
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: parseOrUndefined(text) });
        });
      });
      request.on("error", reject);
      request.end(payload);
    });
  }

  /** Creates a container. */
  async create(body: object = {}, name = ""): Promise<string> {
    const answer = await this.request("POST", `/containers/create?name=${name}`, { Image: this.image, ...body });
    if (answer.status !== 201) throw new Error(`create: ${answer.status} ${answer.text}`);
    return answer.json.Id;
  }

  /** Creates and starts a container. */
  async run(body: object = {}, name = ""): Promise<string> {
    const id = await this.create(body, name);
    const answer = await this.request("POST", `/containers/${id}/start`);
    if (answer.status !== 204) throw new Error(`start: ${answer.status} ${answer.text}`);
    return id;
  }

  /** Resolves when the daemon has accepted the wait; `answer` resolves with its result. */
  async wait(id: string, condition = ""): Promise<{ answer: Promise<{ StatusCode: number }> }> {
    const connection = await this.open(
      `POST /containers/${id}/wait?condition=${condition} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n`,
    );
    await connection.until((text) => text.includes("\r\n\r\n"));
    const read = async () => JSON.parse(/\{.*\}/.exec(await connection.untilEnd())![0]);
    return { answer: read() };
  }

  async inspect(id: string) {
    return (await this.request("GET", `/containers/${id}/json`)).json;
  }

  /** Opens a new connection on which bytes are written unchanged. */
  async open(head: string): Promise<RawConnection> {
    const connection = new RawConnection(this.socketPath);
    connection.socket.write(head);
    return connection;
  }

  /** Opens a hijacked stream; resolves after the answer's head. */
  async hijack(
    path: string,
    options: { body?: string; upgrade?: boolean; early?: string } = {},
  ): Promise<RawConnection> {
    const { body = "", upgrade = true, early = "" } = options;
    const headers = ["Host: d", "Content-Type: application/json", `Content-Length: ${body.length}`];
    if (upgrade) headers.push("Connection: Upgrade", "Upgrade: tcp");
    const connection = await this.open(`POST ${path} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n${body}${early}`);
    await connection.readHead();
    return connection;
  }

  /** Opens a websocket, whose frames are read and written as bytes. */
  async openWebSocket(path: string): Promise<RawConnection> {
    const headers = [
      "Host: d",
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ];
    const connection = await this.open(`GET ${path} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`);
    await connection.readHead();
    return connection;
  }
}

export class RawConnection {
  readonly socket: Socket;
  head = "";
  /** Everything received, with one char for each byte. */
  text = "";
  ended = false;
  #wake = () => {};

  constructor(path: string) {
    this.socket = connect({ path, allowHalfOpen: true } as Parameters<typeof connect>[0] & object);
    this.socket.on("data", (chunk: Buffer) => {
      this.text += chunk.toString("latin1");
      this.#wake();
    });
    const onEnd = () => {
      this.ended = true;
      this.#wake();
    };
    this.socket.on("end", onEnd).on("close", onEnd).on("error", onEnd);
  }

  /** Moves the answer's head from `text` to `head`. */
  async readHead(): Promise<void> {
    await this.until((text) => text.includes("\r\n\r\n"));
    const end = this.text.indexOf("\r\n\r\n") + 4;
    this.head = this.text.slice(0, end);
    this.text = this.text.slice(end);
  }

  async until(isMet: (text: string) => boolean): Promise<void> {
    while (!isMet(this.text)) {
      if (this.ended) throw new Error(`the connection ended after ${JSON.stringify(this.text)}`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async untilEnd(): Promise<string> {
    while (!this.ended) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.socket.end();
    return this.text;
  }
}

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A frame of less than 64 KiB in the form that a websocket's client sends. */
export function maskedFrame(opcode: number, payload: string): Buffer {
  const mask = [1, 2, 3, 4];
  const bytes = Buffer.from(payload).map((byte, index) => byte ^ mask[index & 3]!);
  const { length } = bytes;
  const lengths = length < 126 ? [0x80 | length] : [0x80 | 126, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([0x80 | opcode, ...lengths, ...mask]), bytes]);
}

/** A frame of Docker's multiplexed stream, or one of Lighter's own. */
export function frame(stream: 1 | 2 | 16 | 17 | 18, text: string): string {
  const header = Buffer.alloc(8);
  header.writeUInt8(stream, 0);
  header.writeUInt32BE(text.length, 4);
  return header.toString("latin1") + text;
}
