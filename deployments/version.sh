#!/bin/sh
# Says which version of the project this is: git's word in a checkout of it, else what the image was built as.
if git ls-files --error-unmatch prefect.yaml >/dev/null 2>&1; then
    git describe --always --dirty
else
    echo "${RETAIL_SALES_VERSION:-not-from-git}"
fi
