# The server as an image of one static binary, running as a user without a name or rights.
#
#   docker build -t boomgate .
#   docker run --rm -p 127.0.0.1:8080:8080 -p 127.0.0.1:1883:1883 -v boomgate:/data \
#     -e BOOMGATE_PUBLIC_URL=http://localhost:8080 boomgate serve --insecure
#
# --insecure is said there because a container listens on more than loopback; with certificates it is not needed:
#   docker run … -v /etc/boomgate/tls:/tls:ro -p 8443:8443 -p 8883:8883 boomgate serve --http 0.0.0.0:8443 --http-tls --mqtt '' \
#     --mqtts 0.0.0.0:8883 --tls-cert /tls/cert.pem --tls-key /tls/key.pem --public-url https://gate.example:8443

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=""
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.releaseVersion=${VERSION}" -o /out/boomgate ./cmd/boomgate \
 && mkdir /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/boomgate /boomgate
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /data
USER 65532:65532
VOLUME /data
ENV BOOMGATE_DATA_DIR=/data \
    BOOMGATE_HTTP=0.0.0.0:8080 \
    BOOMGATE_MQTT=0.0.0.0:1883
EXPOSE 8080 1883
ENTRYPOINT ["/boomgate"]
CMD ["serve"]
