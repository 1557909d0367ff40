import { describe, expect, test } from "bun:test";
import { buildIpamConfigs } from "./ipam-values.ts";

test("ranges, gateways and names go to the subnet that holds them", () => {
  expect(
    buildIpamConfigs(
      ["10.0.0.0/16", "2001:db8::/64", "0.0.0.0/32"],
      ["2001:db8::8000/113", "10.0.128.0/17"],
      ["10.0.0.1", "2001:DB8:0:0::1"],
      { a: "10.0.255.255", b: "2001:db8::1.2.3.4", c: "10.0.0.2" },
    ),
  ).toEqual([
    {
      Subnet: "10.0.0.0/16",
      IPRange: "10.0.128.0/17",
      Gateway: "10.0.0.1",
      AuxiliaryAddresses: { a: "10.0.255.255", c: "10.0.0.2" },
    },
    {
      Subnet: "2001:db8::/64",
      IPRange: "2001:db8::8000/113",
      Gateway: "2001:DB8:0:0::1",
      AuxiliaryAddresses: { b: "2001:db8::1.2.3.4" },
    },
    { Subnet: "0.0.0.0/32" },
  ]);
  expect(buildIpamConfigs([], [], [], {})).toEqual([]);
});

describe("what cannot be", () => {
  test.each<[error: string, values: Parameters<typeof buildIpamConfigs>]>([
    ["every ip-range or gateway must have a corresponding subnet", [[], ["10.0.0.0/8"], [], {}]],
    ["every ip-range or gateway must have a corresponding subnet", [[], [], ["10.0.0.1"], {}]],
    ["multiple overlapping subnet configuration is not supported", [["10.1.0.0/16", "10.0.0.0/8"], [], [], {}]],
    ["multiple overlapping subnet configuration is not supported", [["::/0", "2001::/16"], [], [], {}]],
    ["no matching subnet for range 10.2.0.0/24", [["10.1.0.0/16"], ["10.2.0.0/24"], [], {}]],
    ["no matching subnet for gateway 10.2.0.1", [["10.1.0.0/16"], [], ["10.2.0.1"], {}]],
    ["no matching subnet for gateway nothing", [["10.1.0.0/16"], [], ["nothing"], {}]],
    ["no matching subnet for aux-address ::1", [["10.1.0.0/16"], [], [], { a: "::1" }]],
    ["invalid subnet: invalid CIDR address: 10.1.0.0/33", [["10.1.0.0/33"], [], ["10.1.0.1"], {}]],
    ["invalid CIDR address: x/24", [["10.1.0.0/16"], ["x/24"], [], {}]],
    [
      "cannot configure multiple ranges (10.1.2.0/24, 10.1.1.0/24) on the same subnet (10.1.0.0/16)",
      [["10.1.0.0/16", "10.2.0.0/16"], ["10.1.1.0/24", "10.1.2.0/24"], [], {}],
    ],
    [
      "cannot configure multiple gateways (10.1.0.2, 10.1.0.1) for the same subnet (10.1.0.0/16)",
      [["10.1.0.0/16", "10.2.0.0/16"], [], ["10.1.0.1", "10.1.0.2"], {}],
    ],
  ])("%s", (error, values) => {
    expect(() => buildIpamConfigs(...values)).toThrow(error);
  });
});
