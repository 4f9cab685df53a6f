# crystal with the versions of constraints.txt:   docker build -t crystal .   docker run --rm -v "$PWD:/work" crystal train
# For a GPU: docker run --gpus all …; another build of torch: --build-arg PIP_EXTRA_INDEX_URL=…
FROM python:3.11-slim AS build
ARG PIP_EXTRA_INDEX_URL
ARG EXTRAS=""
WORKDIR /source
COPY . .
RUN python -m venv /opt/crystal \
 && /opt/crystal/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt ".${EXTRAS:+[$EXTRAS]}"

FROM python:3.11-slim
COPY --from=build /opt/crystal /opt/crystal
ENV PATH=/opt/crystal/bin:$PATH
RUN useradd --create-home crystal
USER crystal
WORKDIR /work
ENTRYPOINT ["crystal"]
CMD ["--help"]
