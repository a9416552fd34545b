#!/bin/sh
# Reads the manifests that Helm has rendered, and names the RuntimeClass in each pod. Helm 3 runs it
# too: helm upgrade --install web CHART --post-renderer ./post-render.sh
exec ksmrun wrap pod --by runtime-class --strict -
