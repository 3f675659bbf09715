# Broker, operator and command in one image. Runs as uid 1000 with a read-only root; data lives in /var/lib/tidemark.

FROM node:26-slim AS dependencies
WORKDIR /opt/tidemark
COPY package.json package-lock.json .npmrc ./
# Optional packages are other platforms' Node binaries and tools: the image brings its own Node.
RUN npm ci --omit=dev --omit=optional

FROM node:26-slim
WORKDIR /opt/tidemark
COPY --from=dependencies /opt/tidemark/node_modules node_modules
# .dockerignore is the list of what is copied.
COPY . .
RUN ln -s /opt/tidemark/scripts/image-entry.sh /usr/local/bin/tidemark \
  && mkdir -p /var/lib/tidemark && chown 1000:1000 /var/lib/tidemark
# Data I/O uses fewer threads than the pool has, so that the sync of the quorum log always finds one free.
ENV NODE_ENV=production UV_THREADPOOL_SIZE=16
USER 1000:1000
ENTRYPOINT ["/opt/tidemark/scripts/image-entry.sh"]
