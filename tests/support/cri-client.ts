/** A client of Kubernetes' runtime interface, as kubelet is one. */
import { once } from "node:events";
import { connect } from "node:net";
import { GrpcClient } from "../../src/grpc/client.ts";
import { GrpcError } from "../../src/grpc/status.ts";
import * as containers from "../../src/spec/cri/containers.ts";
import * as images from "../../src/spec/cri/images.ts";
import * as runtime from "../../src/spec/cri/runtime.ts";
import * as sandboxes from "../../src/spec/cri/sandboxes.ts";
import * as stats from "../../src/spec/cri/stats.ts";
import * as streams from "../../src/spec/cri/streams.ts";
import type { DraftOf, MessageOf, MessageType } from "../../src/spec/protobuf.ts";
import { eventually } from "./eventually.ts";

const TYPES = { ...containers, ...images, ...runtime, ...sandboxes, ...stats, ...streams };
type Types = typeof TYPES;

const IMAGE_METHODS = ["ListImages", "ImageStatus", "PullImage", "RemoveImage", "ImageFsInfo"];

type Method<Name extends string> = Name extends `${infer Word}RequestType` ? Capitalize<Word> : never;
export type CriMethod = Method<keyof Types & string>;
type RequestOf<M extends string> = DraftOf<Types[`${Uncapitalize<M>}RequestType` & keyof Types]>;
type AnswerOf<M extends string> = MessageOf<Types[`${Uncapitalize<M>}ResponseType` & keyof Types]>;

export class CriClient implements Disposable {
  readonly #client: GrpcClient;

  private constructor(client: GrpcClient) {
    this.#client = client;
  }

  /** Connects as soon as somebody listens. */
  static async connect(path: string): Promise<CriClient> {
    const socket = await eventually(async () => {
      const attempt = connect(path);
      await once(attempt, "connect");
      return attempt.on("error", () => attempt.destroy()); // calls say that the daemon has died
    });
    return new CriClient(new GrpcClient(socket));
  }

  async call<M extends CriMethod>(method: M, request: RequestOf<M>, timeoutS = 60): Promise<AnswerOf<M>> {
    const name = `${method[0]!.toLowerCase()}${method.slice(1)}`;
    const types = TYPES as unknown as Record<string, MessageType<never>>;
    const service = IMAGE_METHODS.includes(method) ? "ImageService" : "RuntimeService";
    const bytes = types[`${name}RequestType`]!.encode(request as never);
    const metadata = { "grpc-timeout": `${timeoutS}S` };
    const answer = await this.#client.unary(`/runtime.v1.${service}/${method}`, bytes, { metadata });
    return types[`${name}ResponseType`]!.decode(answer) as AnswerOf<M>;
  }

  /** The pieces in which the stream `method` sends what the list `like` has in one. */
  async pieces<M extends CriMethod>(method: string, like: M, request: RequestOf<M>): Promise<AnswerOf<M>[]> {
    const name = `${like[0]!.toLowerCase()}${like.slice(1)}`;
    const types = TYPES as unknown as Record<string, MessageType<never>>;
    const service = IMAGE_METHODS.includes(like) ? "ImageService" : "RuntimeService";
    const bytes = types[`${name}RequestType`]!.encode(request as never);
    const pieces: AnswerOf<M>[] = [];
    for await (const piece of this.#client.call(`/runtime.v1.${service}/${method}`, [bytes]))
      pieces.push(types[`${name}ResponseType`]!.decode(piece) as AnswerOf<M>);
    return pieces;
  }

  /** The events from now on, until the client is disposed of. */
  async *events(): AsyncGenerator<MessageOf<typeof containers.containerEventResponseType>> {
    for await (const answer of this.#client.call("/runtime.v1.RuntimeService/GetContainerEvents", [new Uint8Array()]))
      yield containers.containerEventResponseType.decode(answer);
  }

  /** The code and the text with which a call fails. */
  async failure<M extends CriMethod>(method: M, request: RequestOf<M>): Promise<{ code: number; message: string }> {
    try {
      await this.call(method, request);
    } catch (error) {
      if (error instanceof GrpcError) return { code: error.status.code, message: error.status.message };
      throw error;
    }
    throw new Error(`${method} succeeded`);
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }
}
