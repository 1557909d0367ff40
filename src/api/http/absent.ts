/** Parts of Docker's API that there is nothing of here: lists are empty, and the rest says so in Docker's words. */
import { LighterError } from "../../base/errors.ts";
import { sendJson } from "./protocol.ts";
import type { AnswerCall } from "./router.ts";

export function refuse(why: string): (call: AnswerCall) => never {
  return () => {
    throw new LighterError("not-supported", why);
  };
}

/** Of what only a manager of a swarm can do. */
export function notSwarmManager(): LighterError {
  return new LighterError(
    "unavailable",
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm ' +
      "and try again.",
  );
}

export function refuseSwarm(): never {
  throw notSwarmManager();
}

/** GET /plugins */
export function listPlugins({ response }: AnswerCall): void {
  sendJson(response, 200, []);
}

/** Whatever is asked of a plugin. */
export function inspectPlugin({ parameter }: AnswerCall): never {
  throw new LighterError("not-found", `plugin ${JSON.stringify(parameter("name"))} not found`);
}
