/** A port in the API's list of containers. */
export interface PortSummary {
  readonly IP?: string;
  readonly PrivatePort: number;
  readonly PublicPort?: number;
  readonly Type: string;
}

/** Formats ports in order, neighbours that map to themselves as one range: "0.0.0.0:80-81->80-81/tcp, 9988/tcp". */
export function formatPorts(ports: readonly PortSummary[]): string {
  const sorted = [...ports].sort(
    (a, b) =>
      a.PrivatePort - b.PrivatePort ||
      compareText(a.IP ?? "", b.IP ?? "") ||
      (a.PublicPort ?? 0) - (b.PublicPort ?? 0) ||
      compareText(a.Type, b.Type),
  );
  const open = new Map<string, { ip: string; type: string; first: number; last: number }>();
  const closed: string[] = [];
  const mapped: string[] = [];
  for (const port of sorted) {
    const ip = port.IP ?? "";
    if (ip !== "" && port.PublicPort !== port.PrivatePort) {
      mapped.push(`${hostPort(ip, String(port.PublicPort ?? 0))}->${port.PrivatePort}/${port.Type}`);
      continue;
    }
    const key = `${ip}/${port.Type}`;
    const range = open.get(key);
    if (range !== undefined && port.PrivatePort === range.last + 1) {
      range.last = port.PrivatePort;
      continue;
    }
    if (range !== undefined) closed.push(formatRange(range));
    // A range stands where its key first appeared.
    open.set(key, { ip, type: port.Type, first: port.PrivatePort, last: port.PrivatePort });
  }
  return [...closed, ...[...open.values()].map(formatRange), ...mapped].join(", ");
}

function formatRange({ ip, type, first, last }: { ip: string; type: string; first: number; last: number }): string {
  const range = first === last ? String(first) : `${first}-${last}`;
  return ip === "" ? `${range}/${type}` : `${hostPort(ip, range)}->${range}/${type}`;
}

/** Joins address and port. Docker 26 writes IPv6 addresses without brackets. */
function hostPort(ip: string, port: string): string {
  return `${ip}:${port}`;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
