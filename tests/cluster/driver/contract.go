package main

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
)

// The messages of v1alpha1.CSIDriverProvider that the double sends and reads,
// by field number. They are few and flat, so no code is generated for them.

type objectVersion struct{ id, version string }

type file struct {
	path     string
	mode     int32
	contents []byte
}

type mountRequest struct {
	attributes, secrets, targetPath, permission string
	currentVersions                             []objectVersion
}

type mountResponse struct {
	versions  []objectVersion
	errorCode string
	files     []file
	size      int // of the encoded message
}

type versionRequest struct{ version string }

type versionResponse struct{ version, runtimeName, runtimeVersion string }

// marshaler and unmarshaler are what contractCodec can carry.
type (
	marshaler   interface{ marshal() []byte }
	unmarshaler interface{ unmarshal([]byte) error }
)

// contractCodec encodes the types above. Its name makes the content type
// application/grpc+proto, as with generated code.
type contractCodec struct{}

func (contractCodec) Name() string { return "proto" }

func (contractCodec) Marshal(v any) ([]byte, error) {
	m, ok := v.(marshaler)
	if !ok {
		return nil, fmt.Errorf("cannot encode %T", v)
	}
	return m.marshal(), nil
}

func (contractCodec) Unmarshal(data []byte, v any) error {
	m, ok := v.(unmarshaler)
	if !ok {
		return fmt.Errorf("cannot decode %T", v)
	}
	return m.unmarshal(data)
}

// callMount calls Mount with the caller's deadline: the driver adds none.
func callMount(ctx context.Context, conn *grpc.ClientConn, request *mountRequest) (*mountResponse, error) {
	response := new(mountResponse)
	err := conn.Invoke(ctx, "/v1alpha1.CSIDriverProvider/Mount", request, response)
	return response, err
}

// callVersion asks who is serving; only the health check does.
func callVersion(ctx context.Context, conn *grpc.ClientConn) (*versionResponse, error) {
	response := new(versionResponse)
	err := conn.Invoke(ctx, "/v1alpha1.CSIDriverProvider/Version", &versionRequest{version: "v1alpha1"}, response)
	return response, err
}

func (r *versionRequest) marshal() []byte { return appendString(nil, 1, r.version) }

func (r *mountRequest) marshal() []byte {
	var out []byte
	for i, text := range []string{r.attributes, r.secrets, r.targetPath, r.permission} {
		out = appendString(out, protowire.Number(i+1), text)
	}
	for _, v := range r.currentVersions {
		out = protowire.AppendTag(out, 5, protowire.BytesType)
		out = protowire.AppendBytes(out, appendString(appendString(nil, 1, v.id), 2, v.version))
	}
	return out
}

func (r *versionResponse) unmarshal(data []byte) error {
	return eachField(data, func(number protowire.Number, value field) error {
		switch number {
		case 1:
			r.version = string(value.bytes)
		case 2:
			r.runtimeName = string(value.bytes)
		case 3:
			r.runtimeVersion = string(value.bytes)
		}
		return nil
	})
}

func (r *mountResponse) unmarshal(data []byte) error {
	*r = mountResponse{size: len(data)}
	return eachField(data, func(number protowire.Number, value field) error {
		switch number {
		case 1:
			var v objectVersion
			err := v.unmarshal(value.bytes)
			r.versions = append(r.versions, v)
			return err
		case 2:
			return eachField(value.bytes, func(number protowire.Number, value field) error {
				if number == 1 {
					r.errorCode = string(value.bytes)
				}
				return nil
			})
		case 3:
			var f file
			err := f.unmarshal(value.bytes)
			r.files = append(r.files, f)
			return err
		}
		return nil
	})
}

func (v *objectVersion) unmarshal(data []byte) error {
	return eachField(data, func(number protowire.Number, value field) error {
		switch number {
		case 1:
			v.id = string(value.bytes)
		case 2:
			v.version = string(value.bytes)
		}
		return nil
	})
}

func (f *file) unmarshal(data []byte) error {
	return eachField(data, func(number protowire.Number, value field) error {
		switch number {
		case 1:
			f.path = string(value.bytes)
		case 2:
			f.mode = int32(value.varint)
		case 3:
			f.contents = append([]byte(nil), value.bytes...)
		}
		return nil
	})
}

// field is the value of one field: bytes or a varint, whichever it was.
type field struct {
	bytes  []byte
	varint uint64
}

// eachField calls visit for every field of a message.
func eachField(data []byte, visit func(protowire.Number, field) error) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		var value field
		switch kind {
		case protowire.BytesType:
			value.bytes, n = protowire.ConsumeBytes(data)
		case protowire.VarintType:
			value.varint, n = protowire.ConsumeVarint(data)
		default:
			n = protowire.ConsumeFieldValue(number, kind, data)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		if err := visit(number, value); err != nil {
			return err
		}
	}
	return nil
}

// appendString appends a string field; proto3 leaves empty ones out.
func appendString(out []byte, number protowire.Number, text string) []byte {
	if text == "" {
		return out
	}
	return protowire.AppendString(protowire.AppendTag(out, number, protowire.BytesType), text)
}
