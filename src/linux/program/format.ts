/**
 * The binary form of a program, little-endian. launcher/program.h is generated from this file, op.ts and calls.ts.
 *
 *   header                          HEADER_BYTES
 *   op[opCount]                     OP_BYTES each: host, init, cleanup
 *   relocation[relocationCount]     8 bytes each: { u32 where, u32 target }, byte offsets into the blob
 *   blob                            strings and structs; 8-byte aligned items; the last byte is 0
 *
 *   op:  u16 kind, u16 call, u16 out, u16 guard, u16 unless, u8 argKind[6], u16 tolerate[4], u64 arg[6]
 *        with NO_SLOT where there is none; argKind: 0 number, 1 slot, 2 blob offset
 *
 * A relocation puts the address of blob[target] into the 8 bytes at blob[where] when the program is loaded.
 */
export const PROGRAM_MAGIC = 0x3154474c; // "LGT1"
export const PROGRAM_VERSION = 5;
export const HEADER_BYTES = 120;
export const OP_BYTES = 72;
export const RELOCATION_BYTES = 8;
export const NO_SLOT = 0xffff;
export const NO_OFFSET = 0xffffffff;
export const MAX_TOLERATED = 4;

/** Fds that the launcher is started with: the program, and the socket it serves, whose number is free for the child to use. */
export const PROGRAM_FD = 0;
export const LISTEN_FD = 3;
/** The first number of the further fds that the launcher is started with. */
export const FIRST_CARRIED_FD = 4;

export const ARG_NUMBER = 0;
export const ARG_SLOT = 1;
export const ARG_BLOB = 2;

/** The header's fields in order. All are u32 except those listed as u64. */
export const HEADER_FIELDS = [
  ["magic", "u32"],
  ["version", "u32"],
  ["total_bytes", "u32"],
  ["host_count", "u32"],
  ["init_count", "u32"],
  ["cleanup_count", "u32"],
  ["relocation_count", "u32"],
  ["blob_bytes", "u32"],
  ["slot_count", "u32"],
  ["hold", "u32"],
  ["init_slot", "u32"],
  ["stdin_slot", "u32"],
  ["stdout_slot", "u32"],
  ["stderr_slot", "u32"],
  ["terminal", "u32"],
  ["log_path", "u32"],
  ["log_max_files", "u32"],
  ["exit_path", "u32"],
  ["socket_path", "u32"],
  ["fail_index", "u32"],
  ["fail_errno", "u32"],
  ["sync_fd", "u32"],
  ["log_max_bytes", "u64"],
  ["hand_over", "u32"],
  ["console_fd", "u32"],
  ["notify_slot", "u32"],
  ["notified_path", "u32"],
  ["trace_path", "u32"],
  ["log_format", "u32"],
] as const satisfies readonly (readonly [string, "u32" | "u64"])[];

export type HeaderField = (typeof HEADER_FIELDS)[number][0];

/**
 * Frames on the supervisor's socket: u8 kind, 3 zero bytes, u32 length (big-endian, as Docker's stream header), payload.
 * A client's first frame says what the connection is: CONTROL (then requests and events) or ATTACH (then raw bytes
 * for stdin; output frames STDOUT/STDERR, or raw bytes with a terminal).
 *
 *   client -> supervisor   CONTROL {}                            ATTACH { u8 mask: 1 stdin, 2 stdout, 4 stderr, 8 close stdin on end }
 *                                                                  16: output is held until the client sends a byte. If a socket comes
 *                                                                  with that byte (SCM_RIGHTS), output goes to the socket, and this
 *                                                                  connection only tells of the end
 *                          SIGNAL { u32 signal }                 RESIZE { u16 rows, u16 columns }
 *                          CLOSE_STDIN {}                        START {}
 *                          RELEASE {}                            REOPEN_LOG {}: the log's path is another file by now
 *   supervisor -> client   STARTED { u32 pid }                   CREATED { u32 pid }
 *                          FAILED { u32 opIndex, u32 errno }     EXITED { exit record }
 *                          RESULT { u32 errno } for each request, in order
 *                          ROTATED {}: the log's files have new names. Left out while the client has not read an earlier one
 *                          NOTIFIED { lines }: what the process says of itself by sd_notify(3), "NAME=value\n" each, in the order in
 *                                    which they came last. What was said long ago, and otherwise since, may be missing
 *
 * Numbers in payloads are little-endian.
 */
export const FRAME = {
  STDOUT: 1,
  STDERR: 2,
  CONTROL: 0x20,
  ATTACH: 0x21,
  SIGNAL: 0x22,
  RESIZE: 0x23,
  CLOSE_STDIN: 0x24,
  START: 0x25,
  RELEASE: 0x26,
  REOPEN_LOG: 0x27,
  CREATED: 0x40,
  STARTED: 0x41,
  FAILED: 0x42,
  EXITED: 0x43,
  RESULT: 0x44,
  ROTATED: 0x45,
  NOTIFIED: 0x46,
} as const;

/** The formats of a log: Docker's json-file, and that of Kubernetes' container runtimes. */
export const LOG_JSON = 0;
export const LOG_CRI = 1;

export const ATTACH_STDIN = 1;
export const ATTACH_STDOUT = 2;
export const ATTACH_STDERR = 4;
export const ATTACH_CLOSE_STDIN_ON_END = 8;
export const ATTACH_HOLDS_OUTPUT = 16;
/** The flag for headers in the output even of a terminal. */
export const ATTACH_HEADERS = 32;

/**
 * The exit record, as it is in the exit file and in EXITED:
 * u32 magic, u32 version, i32 wait status, u32 capturedBytes, u64 startedNs, u64 finishedNs, captured bytes.
 */
export const EXIT_MAGIC = 0x5458494c; // "LIXT"
export const EXIT_VERSION = 1;
export const EXIT_HEADER_BYTES = 32;
/** The most bytes that all captured files together may add to the exit record. */
export const EXIT_MAX_CAPTURE_BYTES = 4096;

/** The most bytes of all that is kept of a process's notifications: fits into a frame that has room for an exit record. */
export const NOTIFIED_MAX_BYTES = 4096;

/** The opIndex in FAILED when the child died before execve(2) without reporting an op. */
export const OP_INDEX_UNKNOWN = 0xffffffff;
