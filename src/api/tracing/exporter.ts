/**
 * Sends spans to a collector, from a queue that nobody waits for: what a collector that is slow, away or broken does not take in time is
 * dropped, and counted.
 * Source: OTLP specification 1.3, "OTLP/HTTP": which answers mean another try, and when.
 */
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { messageOf } from "../../base/errors.ts";
import { SPAN_RETRIES_MAX, SPAN_RETRY_MAX_MS, SPAN_RETRY_MS } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import { counter } from "../../base/metrics.ts";
import { VERSION } from "../../base/version.ts";
import { systemAuthorities } from "../../engine/mod.ts";
import { encodeTracesAsJson, encodeTracesAsProtobuf } from "../../spec/otlp.ts";
import type { TracingSettings } from "./settings.ts";
import type { LiveSpan, SpanReceiver } from "./tracer.ts";

const spans = counter("lighter_spans_total", "Spans for a collector of traces, by what became of them", "result", [
  "sent",
  "dropped",
]);

const RETRIED = [429, 502, 503, 504];

/** The collector has refused what no other try would make it take. */
class Refused extends Error {}

/** The collector may take it later. */
class Busy extends Error {
  constructor(
    message: string,
    readonly retryAfterMs: number | undefined,
  ) {
    super(message);
  }
}

export class Exporter implements SpanReceiver, Disposable {
  #queue: LiveSpan[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isSending = false;
  /** Whether the last batch was lost: then only the next change of that is logged. */
  #isFailing = false;
  readonly #aborter = new AbortController();

  constructor(
    readonly settings: TracingSettings,
    readonly retryMs = SPAN_RETRY_MS,
  ) {}

  ended(span: LiveSpan): void {
    if (this.#queue.length >= this.settings.queueMax) return void spans.add("dropped");
    this.#queue.push(span);
    if (this.#isSending) return;
    if (this.#queue.length >= this.settings.batchMax) this.#send();
    else this.#timer ??= setTimeout(() => this.#send(), this.settings.delayMs).unref();
  }

  [Symbol.dispose](): void {
    this.#aborter.abort();
    clearTimeout(this.#timer);
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isSending = true;
    void this.#sendAll().finally(() => {
      this.#isSending = false;
    });
  }

  async #sendAll(): Promise<void> {
    while (this.#queue.length > 0 && !this.#aborter.signal.aborted) {
      const batch = this.#queue.splice(0, this.settings.batchMax);
      const failure = await this.#deliver(batch);
      if (this.#aborter.signal.aborted) return;
      spans.add(failure === undefined ? "sent" : "dropped", batch.length);
      if (failure !== undefined && !this.#isFailing)
        log.warn(`the collector of traces does not take spans: ${failure}`);
      if (failure === undefined && this.#isFailing) log.info("the collector of traces takes spans again");
      this.#isFailing = failure !== undefined;
    }
  }

  /** Sends a batch, several times if that may help. Resolves with why it was not taken. */
  async #deliver(batch: readonly LiveSpan[]): Promise<string | undefined> {
    const { protocol, isCompressed, resource } = this.settings;
    const source = { resource, scope: { name: "lighter", version: VERSION } };
    const plain =
      protocol === "http/json" ? Buffer.from(encodeTracesAsJson(source, batch)) : encodeTracesAsProtobuf(source, batch);
    const body = isCompressed ? await promisify(gzip)(plain) : plain;
    for (let attempt = 1; ; attempt++)
      try {
        await this.#post(body);
        return undefined;
      } catch (error) {
        if (error instanceof Refused || attempt > SPAN_RETRIES_MAX || this.#aborter.signal.aborted)
          return messageOf(error);
        const wished = error instanceof Busy ? error.retryAfterMs : undefined;
        await this.#pause(Math.min(wished ?? this.retryMs * 2 ** (attempt - 1), SPAN_RETRY_MAX_MS));
      }
  }

  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms).unref();
    this.#aborter.signal.addEventListener("abort", () => resolve(), { once: true });
    await promise;
    clearTimeout(timer);
  }

  async #post(body: Uint8Array): Promise<void> {
    const { url, protocol, headers, isCompressed, timeoutMs } = this.settings;
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "Content-Type": protocol === "http/json" ? "application/json" : "application/x-protobuf",
        ...(isCompressed ? { "Content-Encoding": "gzip" } : {}),
        "User-Agent": `lighter/${VERSION}`,
        ...headers,
      },
      body: body as Uint8Array<ArrayBuffer>,
      redirect: "error",
      signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), this.#aborter.signal]),
      ...(url.startsWith("https:") && { tls: { ca: systemAuthorities(), ...this.settings.tls } }),
    });
    void response.body?.cancel().catch(() => {}); // what it says beside the status changes nothing
    if (response.ok) return;
    const message = `HTTP status ${response.status}`;
    if (!RETRIED.includes(response.status)) throw new Refused(message);
    const after = response.headers.get("retry-after") ?? "";
    throw new Busy(message, /^\d{1,6}$/.test(after) ? Number(after) * 1000 : undefined);
  }
}
