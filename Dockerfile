# Broker, operator and command in one image. Runs as uid 1000 with a read-only root; data lives in /var/lib/tidemark.

FROM node:26-slim AS build
WORKDIR /opt/tidemark
COPY package.json package-lock.json .npmrc ./
# As package-lock.json states it, only what is built from. Only a kubeconfig needs @kubernetes/client-node, which with what it brings is 80 MB: in a cluster the
# operator reads its service account.
RUN npm pkg delete devDependencies optionalDependencies 'dependencies.@kubernetes/client-node' \
  && npm pkg set "devDependencies.esbuild=$(node -p "require('./package-lock.json').packages['node_modules/esbuild'].version")" \
  && npm install
# .dockerignore is the list of what is copied.
COPY . .
# Plain JavaScript with all packages inside: no types to strip at each start, and nothing else to install.
RUN node scripts/build.mjs /built

FROM node:26-slim
WORKDIR /opt/tidemark
COPY --from=build /built .
COPY scripts/image-entry.sh scripts/
RUN ln -s /opt/tidemark/scripts/image-entry.sh /usr/local/bin/tidemark \
  && mkdir -p /var/lib/tidemark && chown 1000:1000 /var/lib/tidemark
# As scripts/process-environment.mjs has them, with the reasons; the entry sets what depends on the container's memory.
ENV NODE_ENV=production UV_THREADPOOL_SIZE=16 MALLOC_ARENA_MAX=2
# `--build-arg COMMIT=$(git rev-parse HEAD)`: what the metric tidemark_build_info says.
ARG COMMIT=""
ENV TIDEMARK_COMMIT=$COMMIT
USER 1000:1000
ENTRYPOINT ["/opt/tidemark/scripts/image-entry.sh"]
