package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pkcs8(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

func TestKeysAreEncodedAnew(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sec1, _ := x509.MarshalECPrivateKey(ec)
	wantEC, wantRSA := block("EC PRIVATE KEY", sec1), block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey))
	for name, c := range map[string]struct{ file, wanted []byte }{
		"EC in PKCS#8":        {pkcs8(t, ec), wantEC},
		"EC in SEC1":          {wantEC, wantEC},
		"RSA in PKCS#8":       {pkcs8(t, rsaKey), wantRSA},
		"RSA in PKCS#1":       {wantRSA, wantRSA},
		"the last of several": {append(pkcs8(t, ec), pkcs8(t, rsaKey)...), wantRSA},
		"unreadable":          {block("PRIVATE KEY", []byte("x")), block("PRIVATE KEY", nil)},
	} {
		got, err := tlsPart(c.file, corev1.TLSPrivateKeyKey)
		if err != nil || !bytes.Equal(got, c.wanted) {
			t.Errorf("%s: %s %v", name, got, err)
		}
	}
}

func TestOneFileGivesBothParts(t *testing.T) {
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	one, two := block("CERTIFICATE", []byte("one")), block("CERTIFICATE", []byte("two"))
	file := bytes.Join([][]byte{one, pkcs8(t, ec), two}, nil)
	if got, err := tlsPart(file, corev1.TLSCertKey); err != nil || !bytes.Equal(got, append(one, two...)) {
		t.Errorf("%s %v", got, err)
	}
	if got, err := tlsPart(file, corev1.TLSPrivateKeyKey); err != nil || !bytes.Contains(got, []byte("EC PRIVATE KEY")) {
		t.Errorf("%s %v", got, err)
	}
}

func TestTLSPartsThatCannotBe(t *testing.T) {
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	if _, err := tlsPart(pkcs8(t, ed), corev1.TLSPrivateKeyKey); err == nil || !strings.Contains(err.Error(), "Only rsa and ecdsa") {
		t.Error(err)
	}
	if _, err := tlsPart(nil, "ca.crt"); err == nil || !strings.Contains(err.Error(), "'ca.crt' is not supported") {
		t.Error(err)
	}
	if _, err := tlsPart([]byte("no PEM and no PKCS#12"), corev1.TLSCertKey); err == nil {
		t.Error("accepted")
	}
}

func TestSecretsAreCollectedFromFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"db/password": path}
	wanted := secretObject{SecretName: " s ", Type: " Opaque ", Data: []secretData{{ObjectName: " db/password ", Key: " k "}}}
	data, err := wanted.collect(files)
	if err != nil || string(data["k"]) != "bytes" {
		t.Errorf("names are trimmed: %v %v", data, err)
	}
	secret := wanted.skeleton("ns")
	if secret.Name != "s" || secret.Type != corev1.SecretTypeOpaque || secret.Labels[managedLabel] != "true" {
		t.Errorf("%+v", secret)
	}
	wanted.Data[0].ObjectName = "password"
	if _, err := wanted.collect(files); err == nil || err.Error() != "file matching objectName password not found in the pod" {
		t.Error(err)
	}
}

func TestSecretObjectsThatLackSomething(t *testing.T) {
	for wanted, object := range map[string]secretObject{
		"secret name is empty": {Type: "Opaque", Data: []secretData{{}}},
		"secret type is empty": {SecretName: "s", Data: []secretData{{}}},
		"data is empty":        {SecretName: "s", Type: "Opaque"},
	} {
		if err := object.check(); err == nil || err.Error() != wanted {
			t.Errorf("%v, wanted %s", err, wanted)
		}
	}
}

func TestOwnersAreThePodsOwnOrItsRecord(t *testing.T) {
	status := &podStatus{ObjectMeta: metav1.ObjectMeta{Name: "web-ns-class", UID: "u"}}
	bare := new(corev1.Pod)
	if owners := ownersOf(bare, status); len(owners) != 1 || owners[0].Name != "web-ns-class" || owners[0].Kind != statusKind {
		t.Errorf("%v", owners)
	}
	bare.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-1"}}
	if owners := ownersOf(bare, status); len(owners) != 1 || owners[0].Kind != "ReplicaSet" {
		t.Errorf("%v", owners)
	}
}

func TestARecordBelongsToOneVolumeOfOnePod(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "uid-1"}}
	pod.Spec.Volumes = []corev1.Volume{{Name: "secrets", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{
		Driver: "d", VolumeAttributes: map[string]string{classKey: "c"},
	}}}}
	for path, wanted := range map[string]string{
		"/k/pods/uid-1/volumes/kubernetes.io~csi/secrets/mount": "",
		"/k/pods/uid-2/volumes/kubernetes.io~csi/secrets/mount": "did not match pod UID",
		"/k/pods/uid-1/volumes/kubernetes.io~csi/other/mount":   "did not match pod Volume",
		"/elsewhere": "did not match pod UID",
	} {
		status := &podStatus{Status: mountStatus{ClassName: "c", TargetPath: path}}
		err := checkTarget("d", status, pod)
		if (err == nil) != (wanted == "") || err != nil && !strings.Contains(err.Error(), wanted) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := checkTarget("d", &podStatus{Status: mountStatus{ClassName: "x"}}, pod); err == nil {
		t.Error("no volume of that class")
	}
}

func TestVersionsThatDiffer(t *testing.T) {
	recorded := []mountedObject{{ID: "a", Version: "1"}, {ID: "b", Version: "2"}}
	for name, c := range map[string]struct {
		versions map[string]string
		differs  bool
	}{
		"equal":              {map[string]string{"a": "1", "b": "2"}, false},
		"only white space":   {map[string]string{"a": " 1", "b": "2 "}, false},
		"another version":    {map[string]string{"a": "1", "b": "3"}, true},
		"one more":           {map[string]string{"a": "1", "b": "2", "c": "1"}, true},
		"one less":           {map[string]string{"a": "1"}, true},
		"one became another": {map[string]string{"a": "1", "c": "2"}, true},
	} {
		if got := differs(recorded, c.versions); got != c.differs {
			t.Errorf("%s: %v", name, got)
		}
	}
	if objects := sortedObjects(map[string]string{"b": "2", "a": "1"}); objects[0].ID != "a" {
		t.Errorf("sorted by id: %v", objects)
	}
}
