module boundgate/clients

go 1.24.0

require (
	github.com/docker/distribution v2.8.3+incompatible
	github.com/hashicorp/go-retryablehttp v0.7.8
	google.golang.org/grpc v1.79.0
)

require (
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
	golang.org/x/net v0.48.0 // indirect
	golang.org/x/sys v0.39.0 // indirect
	golang.org/x/text v0.32.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20251202230838-ff82c1b0f217 // indirect
	google.golang.org/protobuf v1.36.10 // indirect
)
