/** Gives a build what only its client has: secrets, agents, and room for what is exported. */
import { messageOf } from "../../base/errors.ts";
import {
  encodeFrame,
  FRAME_KINDS,
  FRAME_MAX_BYTES,
  type Frame,
  FrameDecoder,
  type FrameKind,
  NO_PAYLOAD,
  type StreamRequest,
} from "../../spec/build-session.ts";
import { type Client, encodeQuery } from "../http/client.ts";
import type { Response } from "../http/http.ts";

/** The client's side of a stream. */
export interface ClientStream {
  /** Takes what the daemon sends. */
  data(bytes: Uint8Array): void;
  /** The daemon sends nothing more. */
  end(): void | Promise<void>;
  /** The stream has been cut off. */
  close(): void;
}

/** Sends to the daemon. */
interface StreamSender {
  /** Settles when the kernel has the bytes, which may then be changed. */
  send(bytes: Uint8Array): Promise<void>;
  end(): void;
  fail(error: unknown): void;
}

/** Opens what a stream is for; undefined if there is none of that id. */
export type StreamProvider = (id: string, sender: StreamSender) => Promise<ClientStream | undefined>;

type Providers = Readonly<Partial<Record<StreamRequest["kind"], StreamProvider>>>;

export class BuildSession {
  readonly id: string;
  readonly #response: Response;
  readonly #providers: Providers;
  readonly #streams = new Map<number, ClientStream>();

  private constructor(id: string, response: Response, providers: Providers) {
    this.id = id;
    this.#response = response;
    this.#providers = providers;
    void this.#serve();
  }

  static async open(client: Client, providers: Providers): Promise<BuildSession> {
    const id = crypto.randomUUID().replaceAll("-", "");
    const path = `/lighter/builds/session${encodeQuery({ id })}`;
    return new BuildSession(id, await client.request({ method: "POST", path, upgrade: true }), providers);
  }

  close(): void {
    this.#response.connection.close();
  }

  async #serve(): Promise<void> {
    const decoder = new FrameDecoder();
    try {
      for (let piece = await this.#response.read(); piece !== undefined; piece = await this.#response.read())
        for (const frame of decoder.push(piece)) await this.#take(frame);
    } catch {
      // The answer to the build says what has happened.
    }
    for (const stream of this.#streams.values()) stream.close();
  }

  async #take({ stream: number, kind, payload }: Frame): Promise<void> {
    if (kind === FRAME_KINDS.open) return await this.#open(number, payload);
    const stream = this.#streams.get(number);
    if (stream === undefined) return;
    try {
      if (kind === FRAME_KINDS.data) stream.data(payload);
      else if (kind === FRAME_KINDS.end) await stream.end();
      else this.#drop(number);
    } catch (error) {
      this.#fail(number, error);
    }
  }

  async #open(number: number, payload: Uint8Array): Promise<void> {
    const { kind, id } = JSON.parse(Buffer.from(payload).toString()) as StreamRequest;
    const sender = {
      send: async (bytes: Uint8Array) => {
        for (let at = 0; at < bytes.length; at += FRAME_MAX_BYTES)
          await this.#send(number, FRAME_KINDS.data, bytes.slice(at, at + FRAME_MAX_BYTES));
      },
      end: () => void this.#send(number, FRAME_KINDS.end),
      fail: (error: unknown) => this.#fail(number, error),
    };
    try {
      const provide = Object.hasOwn(this.#providers, kind) ? this.#providers[kind] : undefined;
      const stream = await provide?.(id, sender);
      if (stream === undefined) return void this.#send(number, FRAME_KINDS.missing);
      this.#streams.set(number, stream);
      void this.#send(number, FRAME_KINDS.accept);
    } catch (error) {
      this.#fail(number, error);
    }
  }

  #fail(number: number, error: unknown): void {
    void this.#send(number, FRAME_KINDS.fail, Buffer.from(messageOf(error)));
    this.#drop(number);
  }

  #drop(number: number): void {
    this.#streams.get(number)?.close();
    this.#streams.delete(number);
  }

  async #send(stream: number, kind: FrameKind, payload: Uint8Array = NO_PAYLOAD): Promise<void> {
    // When the connection has ended, the answer to the build says so.
    await this.#response.connection.write(encodeFrame({ stream, kind, payload })).catch(() => {});
  }
}
