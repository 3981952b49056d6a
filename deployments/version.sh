#!/bin/sh
# Prints the version of the project: git's in a checkout, else the one that the image was built with.
if git ls-files --error-unmatch prefect.yaml >/dev/null 2>&1; then
    git describe --always --dirty
else
    echo "${RETAIL_SALES_VERSION:-not-from-git}"
fi
