/** The flags of the program itself, which stand before the command. */
import { boolFlag, listFlag, stringFlag } from "./flags.ts";

export const globalFlags = {
  config: stringFlag('Directory of the client\'s files (default "~/.docker")'),
  context: stringFlag("One of Docker's contexts, which names a daemon", { short: "c" }),
  debug: boolFlag("Show causes of errors", { short: "D" }),
  host: listFlag("Daemon socket to connect to", { short: "H" }),
  "log-level": stringFlag("Accepted for compatibility", { short: "l", hidden: true }),
  tls: boolFlag("Use TLS; implied by --tlsverify"),
  tlscacert: stringFlag('Trust certs signed only by this CA (default "~/.docker/ca.pem")'),
  tlscert: stringFlag('Path to TLS certificate file (default "~/.docker/cert.pem")'),
  tlskey: stringFlag('Path to TLS key file (default "~/.docker/key.pem")'),
  tlsverify: boolFlag("Use TLS and verify the remote"),
  version: boolFlag("Print the version and quit", { short: "v" }),
};
