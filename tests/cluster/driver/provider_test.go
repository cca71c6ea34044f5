package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// answer is what a provider made for a test answers to a Mount.
type answer func(ctx context.Context, request []byte) ([]byte, error)

// rawCodec hands a server the messages as they are on the wire.
type rawCodec struct{}

func (rawCodec) Name() string                  { return "proto" }
func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

// serveProvider serves a provider on <folder>/<name>.sock.
func serveProvider(t *testing.T, folder, name string, mount answer) {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(folder, name+".sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodec(rawCodec{}))
	handle := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var request []byte
		if err := decode(&request); err != nil {
			return nil, err
		}
		response, err := mount(ctx, request)
		return &response, err
	}
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "v1alpha1.CSIDriverProvider", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Mount", Handler: handle}},
	}, struct{}{})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
}

// message is a field that holds a message.
func message(out []byte, number protowire.Number, fields ...string) []byte {
	var inner []byte
	for i, value := range fields {
		inner = appendString(inner, protowire.Number(i+1), value)
	}
	return protowire.AppendBytes(protowire.AppendTag(out, number, protowire.BytesType), inner)
}

// withFile is a response with one version and one file.
func withFile(contents string) []byte {
	out := message(nil, 1, "a", "v1")
	inner := appendString(nil, 1, "a")
	inner = protowire.AppendVarint(protowire.AppendTag(inner, 2, protowire.VarintType), 0o640)
	inner = appendString(inner, 3, contents)
	return protowire.AppendBytes(protowire.AppendTag(out, 3, protowire.BytesType), inner)
}

func mountFrom(t *testing.T, maxBytes int, mount answer) (map[string]string, string, error) {
	t.Helper()
	folder := t.TempDir()
	serveProvider(t, folder, "phase", mount)
	found := newProviders(t.TempDir(), folder, maxBytes)
	t.Cleanup(found.close)
	client, err := found.get("phase")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return mountContent(ctx, client, &mountRequest{attributes: "{}", secrets: "null", permission: "420", targetPath: t.TempDir()})
}

func TestTheProviderSeesTheAuthorityOfTheLine(t *testing.T) {
	folder, seen := t.TempDir(), make(chan string, 1)
	serveProvider(t, folder, "phase", func(ctx context.Context, _ []byte) ([]byte, error) {
		values, _ := metadata.FromIncomingContext(ctx)
		seen <- strings.Join(values.Get(":authority"), " ")
		return withFile("x"), nil
	})
	found := newProviders("", folder, 1<<20)
	defer found.close()
	client, err := found.get("phase")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := callMount(context.Background(), client, &mountRequest{}); err != nil {
		t.Fatal(err)
	}
	wanted := filepath.Join(folder, "phase.sock")
	if line.rotatesByRepublish {
		wanted = "localhost"
	}
	if got := <-seen; got != wanted {
		t.Errorf("%q, wanted %q", got, wanted)
	}
}

func TestTheRequestOnTheWire(t *testing.T) {
	request, err := encodeRequest(map[string]string{"b": "<&>", "a": "1"}, nil, "/t")
	if err != nil {
		t.Fatal(err)
	}
	request.currentVersions = []objectVersion{{id: "i", version: "v"}}
	var wanted []byte
	for i, value := range []string{`{"a":"1","b":"\u003c\u0026\u003e"}`, "null", "/t", "420"} {
		wanted = appendString(wanted, protowire.Number(i+1), value)
	}
	wanted = message(wanted, 5, "i", "v")
	if got := request.marshal(); string(got) != string(wanted) {
		t.Errorf("%q, wanted %q", got, wanted)
	}
	if request, _ = encodeRequest(nil, map[string]string{}, ""); request.secrets != "{}" {
		t.Errorf("an empty map is no absent one: %q", request.secrets)
	}
}

func TestResponsesAreCheckedInTheDriversOrder(t *testing.T) {
	onlyFile := withFile("x")[len(message(nil, 1, "a", "v1")):]
	for name, c := range map[string]struct {
		response     []byte
		text, reason string
	}{
		"a code beats everything":        {message(onlyFile, 2, "Denied"), "mount request failed with provider error code Denied", "Denied"},
		"versions are missing":           {onlyFile, "missing object versions", reasonProvider},
		"no files are no error":          {message(nil, 1, "a", "v1"), "", ""},
		"an empty code is none":          {message(withFile("x"), 2), "", ""},
		"unknown fields are passed over": {message(withFile("x"), 9, "later"), "", ""},
	} {
		versions, reason, err := mountFrom(t, 1<<20, func(context.Context, []byte) ([]byte, error) { return c.response, nil })
		switch {
		case c.text == "" && (err != nil || versions["a"] != "v1"):
			t.Errorf("%s: %v %v", name, versions, err)
		case c.text != "" && (err == nil || err.Error() != c.text || reason != c.reason):
			t.Errorf("%s: %v, reason %q", name, err, reason)
		}
	}
}

func TestAFileThatCannotBeWrittenHasAReasonOfItsOwn(t *testing.T) {
	response := message(message(nil, 1, "a", "v1"), 3, "../a")
	_, reason, err := mountFrom(t, 1<<20, func(context.Context, []byte) ([]byte, error) { return response, nil })
	if err == nil || reason != reasonWrite {
		t.Errorf("%v, reason %q", err, reason)
	}
}

func TestUnavailableIsTriedThreeTimesAndOthersOnce(t *testing.T) {
	for code, wanted := range map[codes.Code]int32{codes.Unavailable: 3, codes.Internal: 1, codes.ResourceExhausted: 1} {
		var calls atomic.Int32
		_, reason, err := mountFrom(t, 1<<20, func(context.Context, []byte) ([]byte, error) {
			calls.Add(1)
			return nil, status.Error(code, "no")
		})
		if status.Code(err) != code || reason != reasonProvider || calls.Load() != wanted {
			t.Errorf("%v: %d calls, %v", code, calls.Load(), err)
		}
	}
}

func TestCallsWaitForAProviderThatIsNotThereYet(t *testing.T) {
	folder := t.TempDir()
	socket := filepath.Join(folder, "phase.sock")
	if err := os.WriteFile(socket, nil, 0o600); err != nil { // a stale file is found by a plain stat
		t.Fatal(err)
	}
	found := newProviders("", folder, 1<<20)
	defer found.close()
	client, err := found.get("phase")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := callMount(context.Background(), client, &mountRequest{})
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(4 * time.Second): // longer than three tries take
	}
	_ = os.Remove(socket)
	serveProvider(t, folder, "phase", func(context.Context, []byte) ([]byte, error) { return withFile("x"), nil })
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAResponseAboveTheLimitIsTooLarge(t *testing.T) {
	large := withFile(strings.Repeat("x", 2000))
	_, _, err := mountFrom(t, 1000, func(context.Context, []byte) ([]byte, error) { return large, nil })
	if status.Code(err) != codes.ResourceExhausted || !isTooLarge(err) {
		t.Error(err)
	}
	if isTooLarge(status.Error(codes.ResourceExhausted, "quota")) {
		t.Error("another cause of the same code")
	}
}

func TestABrokenResponseFails(t *testing.T) {
	_, reason, err := mountFrom(t, 1000, func(context.Context, []byte) ([]byte, error) { return []byte{0x0a, 0xff}, nil })
	if err == nil || reason != reasonProvider {
		t.Error(err)
	}
}

func TestSocketsAreSearchedInOrderAndKept(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	touch := func(folder, name string) string {
		socket := filepath.Join(folder, name+".sock")
		if err := os.WriteFile(socket, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return socket
	}
	found := newProviders(t.TempDir()+","+first, second, 1)
	defer found.close()
	main := touch(second, "phase")
	if socket, ok := found.find("phase"); !ok || socket != main {
		t.Error(socket)
	}
	client, err := found.get("phase")
	if err != nil {
		t.Fatal(err)
	}
	additional := touch(first, "phase")
	if socket, _ := found.find("phase"); socket != additional {
		t.Errorf("the additional folders come first: %s", socket)
	}
	if again, _ := found.get("phase"); again != client || !strings.HasSuffix(again.Target(), main) {
		t.Errorf("the first client is kept: %s", again.Target())
	}
}

func TestProvidersThatCannotBe(t *testing.T) {
	found := newProviders(t.TempDir(), t.TempDir(), 1)
	if _, err := found.get("phase"); !errors.Is(err, errProviderNotFound) || err.Error() != `provider not found: provider "phase"` {
		t.Error(err)
	}
	for _, name := range []string{"../phase", strings.Repeat("a", 31), "a.b"} {
		if _, err := found.get(name); !errors.Is(err, errInvalidProvider) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
