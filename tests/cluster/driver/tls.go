package main

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/pkcs12"
	corev1 "k8s.io/api/core/v1"
)

const certificateBlock = "CERTIFICATE"

// tlsPart takes from a file what a Secret of type kubernetes.io/tls has under a
// key: certificates or the private key. One file may hold both.
func tlsPart(data []byte, key string) ([]byte, error) {
	switch key {
	case corev1.TLSCertKey:
		return certificates(data)
	case corev1.TLSPrivateKeyKey:
		return privateKey(data)
	}
	return nil, fmt.Errorf("key '%s' is not supported. Only 'tls.key' and 'tls.crt' are supported", key)
}

// certificates are all CERTIFICATE blocks of the file; a file without any is
// tried as PKCS#12 with an empty password.
func certificates(data []byte) ([]byte, error) {
	blocks := pemBlocks(data)
	if !hasBlock(blocks, func(b *pem.Block) bool { return b.Type == certificateBlock }) {
		var err error
		if blocks, err = pkcs12.ToPEM(data, ""); err != nil {
			return nil, err
		}
	}
	var out []byte
	for _, block := range blocks {
		if block.Type == certificateBlock {
			out = append(out, pem.EncodeToMemory(block)...)
		}
	}
	return out, nil
}

// privateKey is the last block that is no certificate, encoded anew as PKCS#1
// or SEC1. A file without any is tried as PKCS#12 with an empty password. A key
// that cannot be read gives an empty block, without an error.
func privateKey(data []byte) ([]byte, error) {
	isKey := func(b *pem.Block) bool { return b.Type != certificateBlock }
	blocks := pemBlocks(data)
	if !hasBlock(blocks, isKey) {
		var err error
		if blocks, err = pkcs12.ToPEM(data, ""); err != nil {
			return nil, err
		}
	}
	var der []byte
	for _, block := range blocks {
		if isKey(block) {
			der = block.Bytes
		}
	}
	block, err := keyBlock(der)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(block), nil
}

// keyBlock reads an RSA or EC key in any of the three encodings.
func keyBlock(der []byte) (*pem.Block, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return rsaBlock(key), nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return ecBlock(key)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return &pem.Block{Type: "PRIVATE KEY"}, nil
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return rsaBlock(key), nil
	case *ecdsa.PrivateKey:
		return ecBlock(key)
	}
	return nil, errors.New("unknown private key type found while getting key. Only rsa and ecdsa are supported")
}

func rsaBlock(key *rsa.PrivateKey) *pem.Block {
	return &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
}

func ecBlock(key *ecdsa.PrivateKey) (*pem.Block, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return &pem.Block{Type: "EC PRIVATE KEY", Bytes: der}, err
}

func pemBlocks(data []byte) []*pem.Block {
	var blocks []*pem.Block
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return blocks
		}
		blocks, data = append(blocks, block), rest
	}
}

func hasBlock(blocks []*pem.Block, is func(*pem.Block) bool) bool {
	for _, block := range blocks {
		if is(block) {
			return true
		}
	}
	return false
}
