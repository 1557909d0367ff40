/** Parses the kernel's counters of network interfaces. */

export interface InterfaceCounters {
  name: string;
  rxBytes: number;
  rxPackets: number;
  rxErrors: number;
  rxDropped: number;
  txBytes: number;
  txPackets: number;
  txErrors: number;
  txDropped: number;
}

/** Parses /proc/PID/net/dev, without "lo". Source: proc_pid_net(5); the columns are named in the file's second line. */
export function parseNetDev(text: string): InterfaceCounters[] {
  return text.split("\n").flatMap((line) => {
    const [, name, numbers] = /^\s*([^\s:]+):\s*((?:\d+\s*){16})$/.exec(line) ?? [];
    if (name === undefined || name === "lo") return [];
    const n = numbers!.trim().split(/\s+/).map(Number);
    return [
      {
        ...{ name, rxBytes: n[0]!, rxPackets: n[1]!, rxErrors: n[2]!, rxDropped: n[3]! },
        ...{ txBytes: n[8]!, txPackets: n[9]!, txErrors: n[10]!, txDropped: n[11]! },
      },
    ];
  });
}
