/** Ranges of ports as the filters `expose` and `publish` give them. */
import { LighterError } from "../../base/errors.ts";

interface PortRange {
  first: number;
  last: number;
  protocol: string;
}

/**
 * Parses "80", "80/udp" or "8000-8010/tcp".
 * @throws LighterError "internal", which is Docker's status for it, with Docker's text
 */
export function parsePortRange(filter: string, text: string): PortRange {
  const [ports = "", protocol = "tcp"] = text.split("/");
  const [first, last] = ports.includes("-") ? splitAt(ports, "-") : [ports, ports];
  const parse = (port: string) => {
    const wrong = !/^\d+$/.test(port) ? "invalid syntax" : Number(port) > 65535 ? "value out of range" : undefined;
    if (wrong === undefined) return Number(port);
    const parsing = `strconv.ParseUint: parsing ${JSON.stringify(port)}: ${wrong}`;
    throw new LighterError("internal", `error while looking up for ${filter} ${text}: ${parsing}`);
  };
  return { first: parse(first), last: parse(last), protocol: protocol.toLowerCase() };
}

function splitAt(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return [text.slice(0, at), text.slice(at + separator.length)];
}

/** Whether a container's port, such as "80/tcp", is in the range. */
export function isInRange(port: string, { first, last, protocol }: PortRange): boolean {
  const [number, ofPort = "tcp"] = port.split("/");
  return ofPort === protocol && Number(number) >= first && Number(number) <= last;
}
