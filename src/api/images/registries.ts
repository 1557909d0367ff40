/** Requests that ask a registry without a transfer of images. */
import { LighterError } from "../../base/errors.ts";
import type { Described } from "../../engine/mod.ts";
import { parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import { readJsonBody } from "../http/body.ts";
import { Filters } from "../http/filters.ts";
import { sendJson } from "../http/protocol.ts";
import type { AnswerCall } from "../http/router.ts";
import { withRegistry } from "../http/status.ts";

/** GET /distribution/{name}/json */
export async function inspectDistribution(call: AnswerCall): Promise<void> {
  const { descriptor, platforms } = await describe(call);
  const { mediaType, digest, size } = descriptor;
  sendJson(call.response, 200, { Descriptor: { mediaType, digest, size }, Platforms: platforms });
}

/** GET /lighter/manifests/{name}: answers as `inspectDistribution` does, with the manifest or index itself, byte for byte. */
export async function inspectManifest(call: AnswerCall): Promise<void> {
  const { descriptor, platforms, bytes } = await describe(call);
  const { mediaType, digest, size } = descriptor;
  const Descriptor = { mediaType, digest, size };
  sendJson(call.response, 200, { Descriptor, Platforms: platforms, Raw: bytes.toString("base64") });
}

function describe({ daemon, parameter, request }: AnswerCall): Promise<Described> {
  const reference = withDefaultTag(parseReference(parameter("name")));
  const auth = request.headers["x-registry-auth"];
  const credentials = typeof auth === "string" ? auth : "";
  return withRegistry(() => daemon.registries.describe(reference, credentials, request.headers["user-agent"]));
}

/** POST /auth */
export async function checkAuth({ daemon, request, response }: AnswerCall): Promise<void> {
  const credentials = await readJsonBody(request);
  const clientAgent = request.headers["user-agent"];
  sendJson(response, 200, await withRegistry(() => daemon.registries.checkAuth(credentials, clientAgent)));
}

const SEARCH_FILTERS = ["is-automated", "is-official", "stars"];

/** GET /images/search: refuses. Only Docker Hub could be searched, and it has given up that API. */
export function searchImages({ query }: AnswerCall): void {
  const filters = Filters.parse(query.text("filters"), SEARCH_FILTERS);
  for (const name of ["is-automated", "is-official"]) filters.boolean(name);
  const stars = filters.get("stars")?.find((value) => !/^[+-]?\d{1,18}$/.test(value));
  if (stars !== undefined)
    throw new LighterError(
      "invalid",
      `invalid filter 'stars=${stars}': strconv.Atoi: parsing ${JSON.stringify(stars)}: invalid syntax`,
    );
  const term = query.text("term");
  if (term === undefined) throw new LighterError("invalid", "search images: the parameter term is missing");
  throw new LighterError("not-supported", `search images for "${term}": this version searches no registry`, {
    hint: "look on the registry's web pages",
  });
}
