/** Bodies of `network connect` and `disconnect`. Pure. */
import type { DockerEndpointSettings } from "../../spec/docker-api.ts";
import { ENDPOINT_FIELDS, invalid, parseFields } from "../config/mod.ts";

function parseBody(body: unknown, fields: Parameters<typeof parseFields>[2]): Record<string, unknown> {
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw invalid("the body of a request must be a JSON object");
  return parseFields("", body as Record<string, unknown>, fields);
}

const CONTAINER = { shape: "string", fate: "handled" } as const;

/** @throws LighterError "invalid", "not-supported" */
export function parseConnectBody(body: unknown): { container: string; settings: DockerEndpointSettings } {
  const { Container = "", EndpointConfig = {} } = parseBody(body, {
    Container: CONTAINER,
    EndpointConfig: { shape: { object: ENDPOINT_FIELDS }, fate: "handled" },
  }) as { Container?: string; EndpointConfig?: DockerEndpointSettings };
  return { container: Container, settings: EndpointConfig };
}

/** @throws LighterError "invalid", "not-supported" */
export function parseDisconnectBody(body: unknown): { container: string; force: boolean } {
  const { Container = "", Force = false } = parseBody(body, {
    Container: CONTAINER,
    Force: { shape: "boolean", fate: "handled" },
  }) as { Container?: string; Force?: boolean };
  return { container: Container, force: Force };
}
