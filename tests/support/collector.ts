/** A collector of OpenTelemetry's traces, for tests. */
import { gunzipSync } from "node:zlib";
import { tracesType } from "../../src/spec/otlp.ts";

export interface CollectedSpan {
  traceId: string;
  id: string;
  parentId: string;
  name: string;
  attributes: Record<string, unknown>;
  beganNs: bigint;
  endedNs: bigint;
  isServer: boolean;
  error: string | undefined;
}

type Answer = () => Response | Promise<Response>;

export class Collector implements Disposable {
  readonly spans: CollectedSpan[] = [];
  readonly resources: Record<string, unknown>[] = [];
  readonly requests: Request[] = [];
  readonly #server: Bun.Server<undefined>;
  readonly #answer: Answer;

  /** `answer`: what it says; what it has said yes to counts as collected. */
  constructor(answer: Answer = () => new Response("{}")) {
    this.#answer = answer;
    this.#server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      idleTimeout: 0,
      fetch: (request) => this.#take(request),
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  named(name: string): CollectedSpan[] {
    return this.spans.filter((span) => span.name === name);
  }

  /** The parts of a span, the first to begin first. */
  partsOf({ id }: CollectedSpan): string[] {
    const parts = this.spans.filter(({ parentId }) => parentId === id);
    return parts.sort((a, b) => Number(a.beganNs - b.beganNs)).map(({ name }) => name);
  }

  async #take(request: Request): Promise<Response> {
    this.requests.push(request);
    const body = Buffer.from(await request.arrayBuffer());
    const response = await this.#answer();
    if (!response.ok) return response;
    const plain = request.headers.get("content-encoding") === "gzip" ? gunzipSync(body) : body;
    if (request.headers.get("content-type") === "application/json") this.#takeJson(JSON.parse(plain.toString()));
    else this.#takeProtobuf(plain);
    return response;
  }

  #takeProtobuf(body: Uint8Array): void {
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
    for (const { resource, scopeSpans } of tracesType.decode(body).resourceSpans) {
      this.resources.push(attributesOf(resource?.attributes ?? []));
      for (const span of scopeSpans.flatMap(({ spans }) => spans))
        this.spans.push({
          ...{ traceId: hex(span.traceId), id: hex(span.spanId), parentId: hex(span.parentSpanId), name: span.name },
          ...{
            attributes: attributesOf(span.attributes),
            beganNs: span.startTimeUnixNano,
            endedNs: span.endTimeUnixNano,
          },
          ...{ isServer: span.kind === 2, error: span.status?.code === 2 ? span.status.message : undefined },
        });
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: a document of a test
  #takeJson(document: any): void {
    for (const { resource, scopeSpans } of document.resourceSpans) {
      this.resources.push(attributesOf(resource.attributes));
      for (const { spans } of scopeSpans)
        for (const span of spans)
          this.spans.push({
            ...{ traceId: span.traceId, id: span.spanId, parentId: span.parentSpanId ?? "", name: span.name },
            ...{ attributes: attributesOf(span.attributes), beganNs: BigInt(span.startTimeUnixNano) },
            ...{ endedNs: BigInt(span.endTimeUnixNano), isServer: span.kind === 2, error: span.status?.message },
          });
    }
  }

  [Symbol.dispose](): void {
    void this.#server.stop(true);
  }
}

/** Values as they are spelled: integers as text in JSON, as bigints otherwise. */
function attributesOf(list: readonly { key: string; value?: object | undefined }[]): Record<string, unknown> {
  return Object.fromEntries(
    list.map(({ key, value = {} }) => {
      const known = Object.values(value).filter((each) => each !== undefined);
      return [key, typeof known[0] === "bigint" ? String(known[0]) : known[0]];
    }),
  );
}
