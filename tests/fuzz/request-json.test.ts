import { expect, test } from "bun:test";
import { LighterError } from "../../src/base/errors.ts";
import { parseCreateBody } from "../../src/engine/config/fields.ts";
import { parseNetworkRequest } from "../../src/engine/networks/create-request.ts";
import { parseGoJson } from "../../src/spec/go-json.ts";
import { mutateText } from "../support/mutate.ts";
import { Random } from "../support/random.ts";

const ROUNDS = 30_000;

const DOCUMENTS = [
  { Image: "a", Cmd: ["b", null], Env: ["A=é\u2028"], Labels: { path: "" }, ExposedPorts: { "80/tcp": {} }, Tty: true },
  {
    Image: "a",
    HostConfig: { Memory: 7, Binds: ["/:/a"], PortBindings: { "80/tcp": [{ HostPort: "8" }], "9/udp": null } },
  },
  { Name: "n", NetworkingConfig: { EndpointsConfig: { n: { IPAMConfig: { LinkLocalIPs: [] }, GwPriority: -1 } } } },
  { Name: "n", IPAM: { Config: [{ Subnet: "10.0.0.0/8", AuxiliaryAddresses: { a: "10.0.0.1" } }] }, Options: {} },
];

/** What `act` gives, or undefined if it refuses; every other error is a bug. */
function unlessInvalid<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof LighterError)) throw error;
    return undefined;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

test("any bytes are JSON to Go and to us, or to neither, and lead to a request or an error that is told", () => {
  const random = Random.fromEnvironment("request JSON");
  let accepted = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const text = mutateText(random, JSON.stringify(random.pick(DOCUMENTS)));
    const json = unlessInvalid(() => parseGoJson(Buffer.from(text)));
    // After the first value Go passes over anything that begins with a closing bracket.
    if (isJson(text)) expect({ text, json }).not.toEqual({ text, json: undefined });
    else if (json !== undefined)
      expect([...text.matchAll(/[\]}]/g)].some(({ index }) => isJson(text.slice(0, index)))).toBeTrue();
    if (json === undefined) continue;
    if (unlessInvalid(() => parseCreateBody(json)) !== undefined) accepted++;
    unlessInvalid(() => parseNetworkRequest(json));
  }
  expect(accepted).toBeGreaterThan(ROUNDS / 100);
});
