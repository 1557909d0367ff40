/** Serves `lighter run` in one request. */
import { attach, type Container, startContainer } from "../../engine/mod.ts";
import { required } from "../http/body.ts";
import type { StreamCall } from "../http/router.ts";
import { answerOf } from "../http/status.ts";
import { encodeFrame } from "../streams/frames.ts";
import { joinPending, outputOf } from "./attach.ts";
import { createFrom } from "./containers.ts";

/**
 * POST /lighter/run: creates, attaches, starts and waits in one request with the body of create. The stream is that of an attach,
 * with additional frames: "created" first, then "exited" after all output, or "failed" if the container could not be started.
 */
export async function run(call: StreamCall): Promise<void> {
  const { daemon, query, client } = call;
  const created = await createFrom(call, required(await client.readJson()));
  const container = daemon.engine.find(created.Id);
  const begin = () => client.open(true);
  begin();
  client.output.write(encodeFrame("created", JSON.stringify(created)));
  const stdin = query.boolean("stdin") && (container.record.config.OpenStdin ?? false);
  const closeStdinOnEnd = container.record.config.StdinOnce ?? false;
  const streams = { stdout: query.boolean("stdout"), stderr: query.boolean("stderr"), stdin, closeStdinOnEnd };
  const pending = await attach(container, created.Id, { ...streams, ...outputOf(client, begin) }, begin);
  // The pump begins before the start has finished: the process may have ended by then.
  const following = joinPending(client, pending, {
    ...{ stdin, closeStdinOnEnd, detachKeys: undefined },
    lastWords: () => encodeFrame("exited", JSON.stringify({ StatusCode: container.record.exitCode })),
  });
  if (await start(call, container)) await following;
}

/** Starts the container. Resolves with false if that failed and the client has been told. */
async function start({ daemon, client }: StreamCall, container: Container): Promise<boolean> {
  try {
    await startContainer(daemon.engine, container);
    return true;
  } catch (error) {
    client.output.write(encodeFrame("failed", JSON.stringify({ message: answerOf(error).message })));
    client.close();
    return false;
  }
}
