// One cell of the matrix: `client CLIENT CASE` does what the case says with this client, the way its users would, and prints
// one line of JSON: what each request got, and what a library read in the challenges.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/distribution/registry/client/auth/challenge"
	"github.com/hashicorp/go-retryablehttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

var (
	base  = os.Getenv("URL")
	small = bytes.Repeat([]byte("x"), 3_000)
	large = bytes.Repeat([]byte("x"), 20_000_000)
)

const patience = 20 * time.Second

type fields map[string]string

func with(token string, more ...string) fields {
	named := fields{"x-cell": os.Getenv("CELL")}
	if token != "" {
		named["authorization"] = "Bearer " + os.Getenv(token)
	}
	for i := 0; i < len(more); i += 2 {
		named[more[i]] = more[i+1]
	}
	return named
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

// A cache of sessions, which Go has only where it is asked to.
func tlsConfig() *tls.Config {
	pki := os.Getenv("PKI")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile(filepath.Join(pki, "ca.pem"))))
	alice := must(tls.LoadX509KeyPair(filepath.Join(pki, "alice.pem"), filepath.Join(pki, "alice.key")))
	return &tls.Config{
		RootCAs: roots, Certificates: []tls.Certificate{alice}, ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}
}

// As the library of container registries reads it, since net/http does not.
func read(field string) map[string]string {
	answer := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {field}}}
	first := challenge.ResponseChallenges(answer)[0]
	named := map[string]string{"scheme": first.Scheme}
	for name, value := range first.Parameters {
		named[name] = value
	}
	return named
}

func times(count int, call func() any) (answers []any) {
	for range count {
		answers = append(answers, call())
	}
	return answers
}

type doer interface {
	Do(*http.Request) (*http.Response, error)
}

func overHTTP(http2 bool, name string) map[string]any {
	transport := &http.Transport{TLSClientConfig: tlsConfig(), ForceAttemptHTTP2: http2}
	plain := &http.Client{Transport: transport, Timeout: patience}
	var client doer = plain
	send := func(method, path string, headers fields, body []byte) (*http.Response, error) {
		request := must(http.NewRequest(method, base+path, bytes.NewReader(body)))
		for name, value := range headers {
			request.Header.Set(name, value)
		}
		return client.Do(request)
	}
	code := func(method, path string, headers fields, body []byte) any {
		answer, err := send(method, path, headers, body)
		if err != nil {
			return err.Error()
		}
		defer answer.Body.Close()
		io.Copy(io.Discard, answer.Body)
		return answer.StatusCode
	}
	orders := func(body []byte) func() any {
		return func() any { return code("POST", "/orders", with(""), body) }
	}
	switch name {
	case "honest":
		return map[string]any{"answers": []any{code("GET", "/orders/7", with("TOKEN"), nil)}}
	case "resumed":
		return map[string]any{"answers": times(3, func() any {
			defer plain.CloseIdleConnections()
			return code("GET", "/mesh", with(""), nil)
		})}
	case "small":
		return map[string]any{"answers": times(20, orders(small))}
	case "large":
		return map[string]any{"answers": times(2, orders(large))}
	case "kept":
		answers := times(3, orders(small))
		return map[string]any{"answers": append(answers, code("GET", "/orders/7", with("TOKEN"), nil))}
	case "retry":
		retrying := retryablehttp.NewClient()
		retrying.HTTPClient, retrying.Logger = plain, nil
		client = retrying.StandardClient()
		return map[string]any{"answers": times(2, func() any { return code("GET", "/limited", with("TOKEN"), nil) })}
	case "challenge":
		var answers, challenges []any
		for _, token := range []string{"", "WEAK_TOKEN"} {
			answer := must(send("GET", "/orders/7", with(token), nil))
			answers = append(answers, answer.StatusCode)
			challenges = append(challenges, read(answer.Header.Get("www-authenticate")))
		}
		return map[string]any{"answers": answers, "challenges": challenges}
	case "stream":
		refused := code("GET", "/events", with(""), nil)
		stream := must(send("GET", "/events", with("TOKEN", "x-upstream-events", "3"), nil))
		events := []string{}
		for lines := bufio.NewScanner(stream.Body); len(events) < 3 && lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "data: ") {
				events = append(events, lines.Text())
			}
		}
		return map[string]any{"answers": []any{refused, stream.StatusCode}, "events": events}
	}
	return nil
}

// Messages as they are.
type raw struct{}

func (raw) Marshal(value any) ([]byte, error)      { return *value.(*[]byte), nil }
func (raw) Unmarshal(data []byte, value any) error { *value.(*[]byte) = data; return nil }
func (raw) Name() string                           { return "proto" }

func overGRPC(name string) map[string]any {
	encoding.RegisterCodec(raw{})
	options := []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(tlsConfig()))}
	if name == "retry" {
		options = append(options, grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{}], "retryPolicy": {
			"maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "0.2s", "backoffMultiplier": 2,
			"retryableStatusCodes": ["RESOURCE_EXHAUSTED"]}}]}`))
	}
	dial := func() *grpc.ClientConn { return must(grpc.NewClient(strings.TrimPrefix(base, "https://"), options...)) }
	client := dial()
	within := func(headers fields) context.Context {
		limited, _ := context.WithTimeout(context.Background(), patience)
		return metadata.NewOutgoingContext(limited, metadata.New(headers))
	}
	code := func(err error) any {
		if told := status.Convert(err); told.Code() == codes.Unavailable || told.Code() == codes.DeadlineExceeded {
			return told.String()
		}
		return status.Code(err)
	}
	call := func(method string, headers fields, message []byte, options ...grpc.CallOption) error {
		return client.Invoke(within(headers), "/orders.Orders/"+method, &message, &[]byte{}, options...)
	}
	refused := func(message []byte) func() any {
		return func() any { return code(call("Get", with(""), message)) }
	}
	ok := with("TOKEN", "x-upstream-grpc-trailers", "0")
	switch name {
	case "honest":
		return map[string]any{"answers": []any{code(call("Get", ok, nil))}}
	case "resumed":
		return map[string]any{"answers": times(3, func() any {
			answer := code(call("Peer", with("", "x-upstream-grpc-trailers", "0"), nil))
			client.Close()
			client = dial()
			return answer
		})}
	case "small":
		return map[string]any{"answers": times(20, refused(small))}
	case "large":
		return map[string]any{"answers": times(2, refused(large))}
	case "kept":
		return map[string]any{"answers": append(times(3, refused(small)), code(call("Get", ok, nil)))}
	case "retry":
		return map[string]any{"answers": times(2, func() any { return code(call("Limited", ok, nil)) })}
	case "challenge":
		var answers, challenges []any
		for _, token := range []string{"", "WEAK_TOKEN"} {
			var head, trailers metadata.MD
			err := call("Get", with(token), nil, grpc.Header(&head), grpc.Trailer(&trailers))
			answers = append(answers, code(err))
			challenges = append(challenges, read(metadata.Join(head, trailers).Get("www-authenticate")[0]))
		}
		return map[string]any{"answers": answers, "challenges": challenges}
	case "stream":
		var answers []any
		events := []string{}
		for _, headers := range []fields{with(""), with("TOKEN", "x-upstream-grpc-trailers", "never")} {
			about := &grpc.StreamDesc{ServerStreams: true}
			stream := must(client.NewStream(within(headers), about, "/orders.Orders/Get"))
			stream.SendMsg(&[]byte{})
			stream.CloseSend()
			var message []byte
			err := stream.RecvMsg(&message)
			answers = append(answers, code(err))
			if err == nil {
				events = append(events, string(message))
			}
		}
		return map[string]any{"answers": answers, "events": events}
	}
	return nil
}

func main() {
	var cell map[string]any
	switch client, name := os.Args[1], os.Args[2]; client {
	case "net/http":
		cell = overHTTP(true, name)
	case "net/http HTTP/1.1":
		cell = overHTTP(false, name)
	case "grpc-go":
		cell = overGRPC(name)
	}
	fmt.Println(string(must(json.Marshal(cell))))
}
