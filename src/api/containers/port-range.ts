import { LighterError } from "../../base/errors.ts";

interface PortRange {
  first: number;
  last: number;
  protocol: string;
}

/** "80", "80/udp", "8000-8010/tcp". @throws LighterError "internal", which is Docker's status for it, with its text */
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

/** `port` as a container names it: "80/tcp". */
export function isInRange(port: string, { first, last, protocol }: PortRange): boolean {
  const [number, ofPort = "tcp"] = port.split("/");
  return ofPort === protocol && Number(number) >= first && Number(number) <= last;
}
