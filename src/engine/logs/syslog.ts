/** Messages for a syslog server. Sources: RFC 3164, RFC 5424, and the formats of Docker's syslog driver. */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { sendDatagram } from "../../linux/sys/datagram.ts";
import type { SyslogOptions } from "../config/log.ts";
import type { LogEntry } from "./log-entry.ts";
import type { LogSink } from "./sink.ts";
import { StreamSink } from "./stream-sink.ts";

const SEVERITY = { stdout: 6, stderr: 3 } as const;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

interface SyslogMark {
  tag: string;
  hostname: string;
  pid: number;
}

/** Formats one message, without the line end that separates messages on a TCP connection. */
export function formatSyslog({ facility, format }: SyslogOptions, mark: SyslogMark, entry: LogEntry): string {
  const priority = facility * 8 + SEVERITY[entry.stream];
  const { tag, hostname, pid } = mark;
  const text = entry.log.replace(/\n$/, "");
  switch (format) {
    case "":
      return `<${priority}>${stamp(entry.time)} ${tag}[${pid}]: ${text}`;
    case "rfc3164":
      return `<${priority}>${stamp(entry.time)} ${hostname} ${tag}[${pid}]: ${text}`;
    case "rfc5424":
    case "rfc5424micro": {
      const time = format === "rfc5424" ? seconds(entry.time) : micros(entry.time);
      return `<${priority}>1 ${time} ${hostname} ${tag} ${pid} ${tag} - ${text}`;
    }
  }
}

/** Formats a time as "Jan  2 15:04:05", in UTC. */
function stamp(time: string): string {
  const date = new Date(time);
  const day = String(date.getUTCDate()).padStart(2);
  return `${MONTHS[date.getUTCMonth()]} ${day} ${date.toISOString().slice(11, 19)}`;
}

function seconds(time: string): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}

function micros(time: string): string {
  const decimals = /\.(\d{1,9})/.exec(time)?.[1] ?? "";
  return `${seconds(time).slice(0, -1)}.${decimals.padEnd(6, "0").slice(0, 6)}Z`;
}

/** Opens a sink that connects when there is something to send, and anew after a failure. */
export function openSyslog(options: SyslogOptions, mark: SyslogMark): LogSink {
  const { address } = options;
  const encode = (entry: LogEntry) => Buffer.from(formatSyslog(options, mark, entry));
  switch (address.kind) {
    case "unix":
      return {
        send: async (entry) => sendDatagram(address.path, encode(entry)),
        close: () => {},
      };
    case "udp": {
      let socket: UdpSocket | undefined;
      return {
        send: (entry) =>
          new Promise((resolve, reject) => {
            socket ??= openUdp(address.hostname);
            socket.send(encode(entry), address.port, address.hostname, (error) => (error ? reject(error) : resolve()));
          }),
        close: () => socket?.close(),
      };
    }
    case "tcp":
      return new StreamSink(address, (entry) => ({ bytes: Buffer.concat([encode(entry), Buffer.from("\n")]) }));
  }
}

export function openUdp(hostname: string): UdpSocket {
  const socket = createSocket(hostname.includes(":") ? "udp6" : "udp4");
  socket.on("error", () => {}); // the only sign of a server that is away is its silence
  return socket;
}
