/** Starts machines, and shows how far they are until they run. */
import { messageOf } from "../../base/errors.ts";
import { isTerminal } from "../../linux/sys/tty.ts";
import { CliError } from "../exit.ts";
import { readJsonValues } from "../format/json-messages.ts";
import { type Client, encodeName, encodeQuery, parseJson } from "../http/client.ts";
import { stderr } from "../output.ts";

interface StartedEvent {
  readonly Action?: string;
}

/**
 * Starts a container and waits until it runs; a machine runs when its init says that it is up.
 * @throws CliError if it ends before that, or takes longer than `timeoutSeconds`, unless that is 0
 */
export async function startAndWait(client: Client, name: string, timeoutSeconds = 0): Promise<void> {
  const { Id } = await client.get<{ Id: string }>(`/containers/${encodeName(name)}/json`);
  const filters = JSON.stringify({ container: [Id], event: ["machine_status", "machine_target"] });
  const line = new ProgressLine(name);
  const [events, waiting] = await Promise.all([
    client.request({ method: "GET", path: `/events${encodeQuery({ filters })}` }),
    client.request({ method: "POST", path: `/containers/${Id}/wait${encodeQuery({ condition: "running" })}` }),
  ]);
  const showing = (async () => {
    for await (const text of readJsonValues(events)) await line.show(parseJson<StartedEvent>(text).Action ?? "");
  })();
  showing.catch(() => {}); // the daemon has gone, which the other connection tells
  try {
    await client.postEmpty(`/containers/${Id}/start`);
    const answer = waiting.text().then((text) => parseJson<{ Error?: { Message?: string } | null }>(text));
    const { Error: failure } = await within(answer, timeoutSeconds, () => line.describe());
    if (failure?.Message) throw new Error(failure.Message);
  } catch (error) {
    await line.clear();
    throw new CliError(`${messageOf(error)}\nIts console: lighter logs ${name}`);
  } finally {
    for (const { connection } of [events, waiting]) connection.close();
  }
  await line.clear();
}

async function within<T>(work: Promise<T>, seconds: number, describe: () => string): Promise<T> {
  if (seconds <= 0) return work;
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`it is not running after ${seconds} seconds: ${describe()}`)),
    seconds * 1000,
  );
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** One line on a terminal's stderr, drawn over and over; elsewhere nothing. */
class ProgressLine {
  readonly #name: string;
  readonly #isShown = isTerminal(2);
  #status = "starting";
  #target = "";

  constructor(name: string) {
    this.#name = name;
  }

  describe(): string {
    return this.#target === "" ? this.#status : `${this.#status} (${this.#target})`;
  }

  async show(action: string): Promise<void> {
    const [kind = "", value = ""] = action.split(": ");
    if (kind === "machine_status") this.#status = value;
    else this.#target = value;
    const { escapeControls } = await import("../format/harmless.ts");
    if (this.#isShown) await stderr.control(`\r\x1b[K${escapeControls(`${this.#name}: ${this.describe()}`)}`);
  }

  async clear(): Promise<void> {
    if (this.#isShown) await stderr.control("\r\x1b[K");
  }
}
