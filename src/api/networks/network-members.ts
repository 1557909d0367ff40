/** POST /networks/{id}/connect and /disconnect. */
import { LighterError } from "../../base/errors.ts";
import { connectToNetwork, disconnectFromNetwork, readConnectBody, readDisconnectBody } from "../../engine/mod.ts";
import { readJsonBody } from "../http/body.ts";
import { sendEmpty } from "../http/protocol.ts";
import type { AnswerCall } from "../http/router.ts";
import { shapeFor } from "../http/versions.ts";

/** POST /networks/{id}/connect */
export async function connectNetwork({ daemon, parameter, request, response, apiMinor }: AnswerCall): Promise<void> {
  const body = shapeFor("connect", apiMinor, readConnectBody(await readJsonBody(request)));
  const container = daemon.engine.find(requireRef(body.Container ?? ""));
  await connectToNetwork(daemon.engine, container, parameter("id"), body.EndpointConfig ?? {});
  sendEmpty(response, 200);
}

/** POST /networks/{id}/disconnect */
export async function disconnectNetwork({ daemon, parameter, request, response }: AnswerCall): Promise<void> {
  const { engine } = daemon;
  const { Container: ref = "", Force: force } = readDisconnectBody(await readJsonBody(request));
  const container = force ? engine.findIf(requireRef(ref)) : engine.find(requireRef(ref));
  if (container === undefined) {
    // With force, Docker removes an endpoint that some daemon has forgotten. Such an endpoint cannot exist here.
    engine.networks.find(parameter("id"));
    throw new LighterError("not-found", `endpoint ${ref} not found`);
  }
  await disconnectFromNetwork(engine, container, parameter("id"));
  sendEmpty(response, 200);
}

function requireRef(ref: string): string {
  if (ref !== "") return ref;
  throw new LighterError("invalid", 'invalid name or ID supplied: ""');
}
