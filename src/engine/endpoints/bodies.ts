/** Bodies of `network connect` and `disconnect`. Pure. */
import { handled, parseBody } from "../../spec/body-fields.ts";
import type { DockerEndpointSettings } from "../../spec/docker-api.ts";
import { ENDPOINT_FIELDS } from "../config/mod.ts";

/** Reads the JSON of a connect and keeps the known fields. @throws LighterError as `parseBody` */
export function readConnectBody(body: unknown): { Container?: string; EndpointConfig?: DockerEndpointSettings } {
  return parseBody(body, { Container: handled("string"), EndpointConfig: handled({ object: ENDPOINT_FIELDS }) });
}

/** Reads the JSON of a disconnect. @throws LighterError as `parseBody` */
export function readDisconnectBody(body: unknown): { Container?: string; Force?: boolean } {
  return parseBody(body, { Container: handled("string"), Force: handled("boolean") });
}
