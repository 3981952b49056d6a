#!/bin/sh
# Builds or pushes the image of this version, in which runs of container pools start, and prints its name: after a push by
# its digest, which no later push changes. A name without a slash stays on this machine.
#   RETAIL_SALES_IMAGE=registry.example.com/retail-sales sh deployments/image.sh build|push
# RETAIL_SALES_IMAGE_SPARK=1 adds the packages of engine spark.
# RETAIL_SALES_IMAGE_READY is the name of an image that is built and pushed already: nothing else is done.
set -eu

refuse() {
    echo "$1" >&2
    exit 1
}

if [ -n "${RETAIL_SALES_IMAGE_READY:-}" ]; then
    echo "$RETAIL_SALES_IMAGE_READY"
    exit
fi
image=${RETAIL_SALES_IMAGE:-}
case ${image##*/} in
"") refuse "RETAIL_SALES_IMAGE is not set: give the image's name without a tag, like registry.example.com/retail-sales" ;;
*[:@]*) refuse "RETAIL_SALES_IMAGE is $image: give the name without a tag, which is the version's" ;;
esac
command -v docker >/dev/null || refuse "docker is not installed here: deploy where it is, or use a process pool (prefect.yaml)"

cd "$(dirname "$0")/.."
version=$(sh deployments/version.sh)
tagged=$image:$version

case ${1:-} in
build)
    docker build --target run --build-arg VERSION="$version" --build-arg SPARK="${RETAIL_SALES_IMAGE_SPARK:-}" --tag "$tagged" . >&2
    echo "$tagged"
    ;;
push)
    case $image in
    */*)
        docker push "$tagged" >&2
        digests=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$tagged")
        echo "$digests" | grep -m 1 -F "$image@sha256:" || refuse "docker knows no digest of $tagged after its push: push it again"
        ;;
    *) echo "$tagged" ;;
    esac
    ;;
*) refuse "give build or push, not '${1:-}'" ;;
esac
