# The image is one static binary and the certificates of public authorities. scripts/image lays out the context:
# sidewatch (crt-static) and ca-certificates.crt.
FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sidewatch" \
      org.opencontainers.image.description="Watches a model server's metrics and says when the model goes bad" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY sidewatch /sidewatch
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
EXPOSE 9755
ENTRYPOINT ["/sidewatch"]
CMD ["--help"]
