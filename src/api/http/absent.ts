/** Answers for the parts of Docker's API that have no counterpart here: lists are empty, other requests get Docker's error. */
import { LighterError } from "../../base/errors.ts";
import { sendJson } from "./protocol.ts";
import type { AnswerCall } from "./router.ts";

export function refuse(why: string): (call: AnswerCall) => never {
  return () => {
    throw new LighterError("not-supported", why);
  };
}

/** The error of requests that only a swarm's manager can serve. */
export function notSwarmManager(): LighterError {
  return new LighterError(
    "unavailable",
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm ' +
      "and try again.",
  );
}

/** POST /swarm/leave */
export function leaveSwarm(): never {
  throw new LighterError("unavailable", "This node is not part of a swarm");
}

export function refuseSwarm(): never {
  throw notSwarmManager();
}

/** GET /plugins */
export function listPlugins({ response }: AnswerCall): void {
  sendJson(response, 200, []);
}

/** Answers any request about a plugin. */
export function inspectPlugin({ parameter }: AnswerCall): never {
  throw new LighterError("not-found", `plugin ${JSON.stringify(parameter("name"))} not found`);
}
