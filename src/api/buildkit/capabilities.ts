/** What the daemon's side of BuildKit's API can do, in BuildKit's names. Clients ask for nothing else. */

/** What the gateway's methods can. Source: moby/buildkit frontend/gateway/pb/caps.go. */
export const FRONTEND_CAPABILITIES: readonly string[] = [
  "solve.base",
  "solve.inlinereturn",
  "proto.refarray",
  "reference.output",
  "return",
  "returnmap",
  "frontend.caps",
  "frontend.inputs",
  "gateway.evaluate",
];

/** What the graph's operations can. Source: moby/buildkit solver/pb/caps.go. */
export const LLB_CAPABILITIES: readonly string[] = [
  "source.image",
  "source.local",
  "exec.meta.base",
  "exec.meta.network",
  "exec.mount.bind",
  "file.base",
  "constraints",
  "platform",
  "exporter.image.attestations",
  "exporter.image.annotations",
];
