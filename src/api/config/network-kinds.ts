/** Kinds of settings that only networks have. */
import { DAEMON_LIST_MAX } from "../../base/limits.ts";
import { integer, list, map, object, string } from "../../spec/reader.ts";
import { invalid, type Kind, splitPair } from "./kinds.ts";

/** A range of addresses that is cut into subnets of `size` bits. */
export interface AddressPoolValue {
  base: string;
  size: number;
}

const readPool = object<AddressPoolValue>({ base: string, size: integer(0, 128) }, { required: ["base", "size"] });

/** Address pools as `[{"base": "10.0.0.0/8", "size": 24}]`, or as the flag "base=10.0.0.0/8,size=24". */
export const addressPools: Kind<AddressPoolValue[]> = {
  value: "base=CIDR,size=BITS",
  isMany: true,
  read: list(readPool, DAEMON_LIST_MAX),
  parse: (given, name) =>
    given.map((text) => {
      const fields = new Map(text.split(",").map((field) => splitPair(field, name)));
      const [base, size] = [fields.get("base"), fields.get("size") ?? ""];
      if (base === undefined || !/^\d{1,3}$/.test(size) || fields.size > 2)
        throw invalid(`${name} is ${JSON.stringify(text)}, not of the form base=CIDR,size=BITS`);
      return { base, size: Number(size) };
    }),
};

/**
 * Options by driver as `{"bridge": {"com.docker.network.driver.mtu": "1400"}}`, or as the flag
 * "bridge=com.docker.network.driver.mtu=1400".
 */
export const networkOptions: Kind<Record<string, Record<string, string>>> = {
  value: "DRIVER=NAME=VALUE",
  isMany: true,
  read: map(map(string, DAEMON_LIST_MAX), DAEMON_LIST_MAX),
  parse: (given, name) => {
    const options: Record<string, Record<string, string>> = {};
    for (const text of given) {
      const [driver, pair] = splitPair(text, name);
      const [key, value] = splitPair(pair, name);
      options[driver] = { ...options[driver], [key]: value };
    }
    return options;
  },
};
