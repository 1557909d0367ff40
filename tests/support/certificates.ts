/** Certificates for TLS tests, made by openssl: each set has its own authority, and a certificate of a server or client. */
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const hasOpenssl = existsSync("/usr/bin/openssl");

export interface Certificates {
  /** Paths of PEM files. */
  caPath: string;
  certPath: string;
  keyPath: string;
}

function openssl(...args: string[]): void {
  execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
}

/** Makes a set. `names`: "DNS:localhost", "IP:127.0.0.1". Several sets may share a directory under different prefixes. */
export function makeCertificates(
  directory: string,
  prefix: string,
  names: readonly string[] = ["DNS:localhost", "IP:127.0.0.1"],
): Certificates {
  const path = (name: string): string => join(directory, `${prefix}-${name}`);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl(
    ...["req", "-x509", ...key, "-days", "2", "-subj", `/CN=${prefix} test authority`],
    ...["-addext", "basicConstraints=critical,CA:TRUE"],
    ...["-keyout", path("ca.key"), "-out", path("ca.crt")],
  );
  openssl("req", "-new", ...key, "-subj", `/CN=${prefix}`, "-keyout", path("key.pem"), "-out", path("request.pem"));
  writeFileSync(path("extensions"), `subjectAltName=${names.join(",")}\n`);
  openssl(
    ...["x509", "-req", "-in", path("request.pem"), "-days", "2", "-extfile", path("extensions")],
    ...["-CA", path("ca.crt"), "-CAkey", path("ca.key"), "-CAcreateserial", "-out", path("cert.pem")],
  );
  return { caPath: path("ca.crt"), certPath: path("cert.pem"), keyPath: path("key.pem") };
}
