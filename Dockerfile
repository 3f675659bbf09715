# Broker, operator and command in one image. Runs as uid 1000 with a read-only root; data lives in /var/lib/tidemark.
# `npm run image` builds it for several architectures: what is built is the same for all, and nothing of another one has to run.

FROM --platform=$BUILDPLATFORM node:26-slim AS build
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
RUN node scripts/build.mjs /image/program \
  && mkdir -p /image/program/scripts /image/bin /image/data/tidemark \
  && cp scripts/image-entry.sh /image/program/scripts/ \
  && ln -s /opt/tidemark/scripts/image-entry.sh /image/bin/tidemark

# No RUN from here on: it would need an emulator.
FROM scratch AS files
COPY --from=build /image /

FROM node:26-slim
WORKDIR /opt/tidemark
COPY --from=files /program .
COPY --from=files /bin /usr/local/bin
COPY --from=files --chown=1000:1000 /data /var/lib
# As scripts/process-environment.mjs has them, with the reasons; the entry sets what depends on the container's memory.
ENV NODE_ENV=production UV_THREADPOOL_SIZE=16 MALLOC_ARENA_MAX=2
# `--build-arg COMMIT=$(git rev-parse HEAD)`: what the metric tidemark_build_info says.
ARG COMMIT=""
ENV TIDEMARK_COMMIT=$COMMIT
USER 1000:1000
ENTRYPOINT ["/opt/tidemark/scripts/image-entry.sh"]
