/**
 * Every limit on outside bytes, in one place, each with its reason and what happens beyond it.
 * Beyond a limit the answer is always an error that names the limit, never a truncation.
 */

/** A launcher program: ops and blob. Real ones are 20–60 KiB; argv and environment may hold 2 MiB (execve's limit). */
export const PROGRAM_MAX_BYTES = 8 * 1024 * 1024;
export const PROGRAM_MAX_OPS = 8192;
/** fds and pids a program may hold at a time. */
export const PROGRAM_MAX_SLOTS = 256;

/** JSON documents of an image (config, manifest, index). Registries cap manifests at 4 MiB. */
export const IMAGE_JSON_MAX_BYTES = 4 * 1024 * 1024;
/** JSON body of an API request. */
export const API_BODY_MAX_BYTES = 16 * 1024 * 1024;
