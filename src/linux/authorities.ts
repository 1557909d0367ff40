/** The authorities whose certificates this host trusts. */
import { readFileSync } from "node:fs";

/**
 * Files in which distributions keep their authorities: Debian; Fedora; openSUSE; Alpine. Go's list; without any of them Bun's own
 * is used.
 */
const AUTHORITY_PATHS = [
  ...["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"],
  ...["/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"],
];
let authorities: { pem: string | undefined } | undefined;

/** The authorities as PEM, read once; undefined if the host has none. */
export function systemAuthorities(): string | undefined {
  if (authorities !== undefined) return authorities.pem;
  const { SSL_CERT_FILE } = process.env;
  let pem: string | undefined;
  for (const path of SSL_CERT_FILE === undefined || SSL_CERT_FILE === "" ? AUTHORITY_PATHS : [SSL_CERT_FILE])
    try {
      pem = readFileSync(path, "utf8");
      break;
    } catch {} // another distribution's file
  authorities = { pem };
  return pem;
}
