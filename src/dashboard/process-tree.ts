/** Processes as ps(1) lists them, in the order of a tree. */
export interface Process {
  pid: string;
  depth: number;
  cells: readonly string[];
}

/** Puts each process below its parent. `rows`: pid, parent's pid, then what is shown. */
export function treeOf(rows: readonly (readonly string[])[]): Process[] {
  const pids = new Set(rows.map(([pid]) => pid));
  const children = new Map<string, (readonly string[])[]>();
  const roots: (readonly string[])[] = [];
  for (const row of rows) {
    const [pid = "", parent = ""] = row;
    if (parent === pid || !pids.has(parent)) roots.push(row);
    else children.set(parent, [...(children.get(parent) ?? []), row]);
  }
  const found: Process[] = [];
  const left = roots.map((row) => ({ row, depth: 0 })).reverse();
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const [pid = "", , ...cells] = next.row;
    const depth = next.depth + 1;
    found.push({ pid, depth: next.depth, cells });
    left.push(...(children.get(pid) ?? []).map((row) => ({ row, depth })).reverse());
  }
  return found;
}
