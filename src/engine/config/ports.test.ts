import { expect, test } from "bun:test";
import { LighterError } from "../../base/errors.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import { exposedPorts, formatPort, planPorts, validatePorts } from "./ports.ts";

test("what is published is exposed, by number and TCP first, whoever asked for it", () => {
  const exposed = exposedPorts(
    { ExposedPorts: { "443": {}, "53/udp": {}, "53/tcp": {}, "8000-8002/tcp": {} } },
    { PortBindings: { "9/sctp": [] } },
  );
  expect(exposed.map(formatPort)).toEqual([
    ...["9/sctp", "53/tcp", "53/udp", "443/tcp", "8000/tcp", "8001/tcp", "8002/tcp"],
  ]);
});

test("bindings become wishes: a port, one of a range, any; at one address or all", () => {
  const PortBindings = {
    "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "8080" }, { HostPort: "8081-8090" }, { HostIp: "[::1]", HostPort: "" }],
    "53/udp": null,
  };
  expect(planPorts({}, { PortBindings })).toEqual([
    { port: 53, protocol: "udp", hostAddress: "", hostPorts: undefined },
    { port: 80, protocol: "tcp", hostAddress: "127.0.0.1", hostPorts: { from: 8080, to: 8080 } },
    { port: 80, protocol: "tcp", hostAddress: "", hostPorts: { from: 8081, to: 8090 } },
    { port: 80, protocol: "tcp", hostAddress: "::1", hostPorts: undefined },
  ]);
});

test("all exposed ports are published if asked for, those with bindings where these say", () => {
  const config = { ExposedPorts: { "80/tcp": {}, "81/tcp": {} } };
  const bindings: DockerHostConfig = { PortBindings: { "80/tcp": [{ HostPort: "8080" }] } };
  const wishes = (hostConfig: DockerHostConfig) =>
    planPorts(config, hostConfig).map(({ hostPorts }) => hostPorts?.from);
  expect(wishes({ ...bindings, PublishAllPorts: true })).toEqual([8080, undefined]);
  expect(wishes(bindings)).toEqual([8080]);
});

test("nothing is published where there is no interface of one's own", () => {
  const PortBindings = { "80/tcp": [{}] };
  for (const NetworkMode of ["host", "none", "container:x"])
    expect(planPorts({}, { NetworkMode, PortBindings })).toEqual([]);
  expect(planPorts({ NetworkDisabled: true }, { PortBindings })).toEqual([]);
});

const BAD: [DockerHostConfig["PortBindings"], string][] = [
  [{ "80": [{ HostPort: "abc" }] }, 'invalid port specification: "abc"'],
  [{ "abc/tcp": [{ HostPort: "80" }] }, 'invalid port specification: "abc"'],
  [{ "80/tcp": [{ HostPort: "70000" }] }, 'invalid port specification: "70000"'],
  [{ "70000/tcp": [{ HostPort: "80" }] }, 'invalid port specification: "70000"'],
  [{ "80/tcp": [{ HostPort: "80-70" }] }, 'invalid port specification: "80-70"'],
  [{ "80-82/tcp": [{ HostPort: "80-82" }] }, 'invalid port specification: "80-82"'],
  [{ "80/xyz": [{ HostPort: "80" }] }, 'invalid protocol of port "80/xyz": xyz'],
  [{ "80/tcp": [{ HostIp: "zz" }] }, 'invalid IP address in port binding: "zz"'],
];
for (const [PortBindings, message] of BAD)
  test(`a binding is refused: ${message}`, () => {
    expect(() => validatePorts({}, { PortBindings: PortBindings! })).toThrow(new LighterError("invalid", message));
  });
