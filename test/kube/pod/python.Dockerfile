# A client in Python: Debian's interpreter, gRPC, and the code generated from proto, which the build context holds.
FROM node:26-slim
RUN apt-get update && apt-get install -y --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*
COPY . /opt/client
ENV PYTHONPATH=/opt/client PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
