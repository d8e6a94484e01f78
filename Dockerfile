# For those who have Docker; make image needs none and writes a bill of materials as well.
#   docker build --build-arg VERSION="$(git describe --tags --always)" -t localhost/nodeguard:dev .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY internal internal
ARG TARGETOS=linux
ARG TARGETARCH
ARG VERSION=dev
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w -buildid= -X main.version=$VERSION" -o /nodeguard ./cmd/nodeguard

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="nodeguard" \
      org.opencontainers.image.description="Detects operations on a Kubernetes node that its provider does not support" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/nodeguard/nodeguard"
COPY --from=build /nodeguard /nodeguard
ENTRYPOINT ["/nodeguard"]
