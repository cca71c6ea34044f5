#!/usr/bin/env bash
# certs.sh DIR [NODE]: a throw-away CA, the API server's certificate, the key that
# signs service account tokens, and a kubeconfig of an administrator; with NODE
# also those of the controllers, the scheduler, kube-proxy and that node's kubelet.
set -euo pipefail
dir=$1 node=${2:-} api=https://127.0.0.1:6443
umask 077
mkdir -p "$dir"
cd "$dir"
key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1.key"; }
cert() { # cert NAME SUBJECT EXTENSIONS
  key "$1"
  openssl req -new -key "$1.key" -subj "$2" |
    openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile <(echo "$3") -out "$1.crt" 2>/dev/null
}
client() { # client NAME SUBJECT: a certificate, and a kubeconfig that has it inside
  cert "$1" "$2" extendedKeyUsage=clientAuth
  cat > "$1.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "$api", certificate-authority-data: "$(base64 -w0 ca.crt)"}}]
users: [{name: u, user: {client-certificate-data: "$(base64 -w0 "$1.crt")", client-key-data: "$(base64 -w0 "$1.key")"}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
END
}
key ca
openssl req -x509 -new -key ca.key -days 2 -subj /CN=test-ca -out ca.crt
cert apiserver /CN=kube-apiserver "subjectAltName=IP:127.0.0.1,IP:10.99.0.1,IP:10.96.0.1,DNS:localhost
extendedKeyUsage=serverAuth"
client admin /O=system:masters/CN=admin
openssl genrsa -out sa.key 2048 2>/dev/null
if [[ -n $node ]]; then
  client controllers /CN=system:kube-controller-manager
  client scheduler /CN=system:kube-scheduler
  client proxy /CN=system:kube-proxy
  client kubelet "/O=system:nodes/CN=system:node:$node"
fi
