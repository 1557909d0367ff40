/** Program headers are of 56 bytes, section headers of 64. Source: elf(5). */
const PT_LOAD = 1;
const SHT_NOBITS = 8;
const HUGE_PAGE_BYTES = 2 * 1024 * 1024;

interface Piece {
  start: number;
  end: number;
  /** Where it goes, from where it is. */
  shift: number;
}

/**
 * A program whose segments lie in the file as they do in memory, as far as 2 MiB pages go: so the kernel maps all of
 * such a page at once, if the page cache has it as one (which a file system with large folios does, of a file that was
 * written in large pieces), in place of sixteen small ones at each fault. Adds less than 2 MiB for each segment.
 *
 * Anything but 64-bit little-endian ELF with segments one behind the other, the first where it is to be, stays as it is.
 */
export function alignSegments(program: Uint8Array): Uint8Array {
  const old = new DataView(program.buffer, program.byteOffset, program.byteLength);
  if (old.getUint32(0) !== 0x7f454c46 || old.getUint16(4) !== 0x0201) return program;
  const number = (at: number) => Number(old.getBigUint64(at, true));
  const [programHeaders, sectionHeaders] = [number(32), number(40)];
  const segments = Array.from({ length: old.getUint16(56, true) }, (_, i) => programHeaders + i * 56);
  const sections = Array.from({ length: old.getUint16(60, true) }, (_, i) => sectionHeaders + i * 64);

  const pieces: Piece[] = [];
  let shift = 0;
  for (const at of segments.filter((header) => old.getUint32(header, true) === PT_LOAD)) {
    const [start, address, size] = [number(at + 8), number(at + 16), number(at + 32)];
    if (start < (pieces.at(-1)?.end ?? 0)) return program;
    shift += (((address - start - shift) % HUGE_PAGE_BYTES) + HUGE_PAGE_BYTES) % HUGE_PAGE_BYTES;
    if (start === 0 && shift > 0) return program;
    pieces.push({ start, end: start + size, shift });
  }
  pieces.push({ start: pieces.at(-1)?.end ?? 0, end: program.length, shift }); // what is not loaded
  const moved = (offset: number) =>
    offset + (pieces.find(({ start, end }) => offset >= start && offset < end)?.shift ?? 0);

  const aligned = new Uint8Array(program.length + shift);
  for (const { start, end, shift } of pieces) aligned.set(program.subarray(start, end), start + shift);
  const view = new DataView(aligned.buffer);
  const move = (at: number, holder = 0) =>
    view.setBigUint64(moved(holder) + at, BigInt(moved(number(holder + at))), true);
  move(40);
  for (const header of segments) if (number(header + 8) > 0) move(8, header);
  for (const header of sections)
    if (old.getUint32(header + 4, true) !== SHT_NOBITS && number(header + 24) > 0) move(24, header);
  return aligned;
}
