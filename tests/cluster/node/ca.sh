#!/usr/bin/env bash
# ca.sh DIR: a private CA, and a certificate of it for Phase on this node.
set -euo pipefail
mkdir -p "$1"
cd "$1"
umask 077
key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1.key"; }
key ca
openssl req -x509 -new -key ca.key -days 2 -subj "/CN=a private CA" -out ca.crt
key tls
openssl req -new -key tls.key -subj /CN=phase | openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
  -extfile <(echo "subjectAltName=IP:10.96.0.20,IP:10.99.0.1,IP:10.99.1.1,DNS:phase.phase.svc") -out tls.crt 2>/dev/null
