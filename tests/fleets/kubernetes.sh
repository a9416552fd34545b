#!/bin/sh
# kubernetes.sh: builds Kubernetes from Debian's source package and prints the folder of its programs.
# They are cached under a hash of this file, which names the version; the first time takes long,
# and one that was interrupted is continued by the next.
set -eu

# 1.20.2: the last of which Debian has the whole source; later packages are kubectl only.
version=1.20.5+really1.20.2-1.1+deb12u1
programs="kube-apiserver kube-controller-manager kube-scheduler kubelet kubectl"
hash=$(sha256sum "$0" | cut -c 1-12)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ksmrun-kubernetes
kept=$cache/$hash
mkdir -p "$cache"
# One build at a time, whoever runs these tests.
exec 9>"$cache/lock"
flock 9
if [ -d "$kept" ]; then
    echo "$kept"
    exit
fi

work=$cache/build-$version
mkdir -p "$work"
cd "$work"
# Where Go looks for it: this release is not built as a module.
go=$work/gopath
source=$go/src/k8s.io/kubernetes

fetch() {
    # The host's own apt knows no sources, and keeps its lists.
    # shellcheck disable=SC2016 # a format of apt's
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    for type in deb deb-src; do
        echo "$type [signed-by=$keyring] $mirror bookworm main"
    done >sources.list
    mkdir -p lists/partial archives/partial
    apt() {
        apt-get -qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
            -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work" -o APT::Sandbox::User=root "$@" >&2
    }
    apt update
    apt source --download-only "kubernetes=$version"
    apt download golang-github-modern-go-reflect2-dev
    mkdir -p "$go/src/k8s.io"
    dpkg-source --no-check -x ./kubernetes_*.dsc "$source" >&2
    dpkg-deb -x golang-github-modern-go-reflect2-dev_*.deb reflect2
    # The vendored release iterates over maps as Go did before 1.18, and the API server dies of it.
    old=$source/vendor/github.com/modern-go/reflect2
    rm -r "$old"
    cp -r reflect2/usr/share/gocode/src/github.com/modern-go/reflect2 "$old"
}
[ -e fetched ] || {
    rm -rf "$go"
    fetch
    touch fetched
}
cd "$source"

# -p=2: the machine has other work.
export CGO_ENABLED=0 GO111MODULE=off GOFLAGS=-p=2 GOCACHE="$work/cache" GOTMPDIR="$work" GOPATH="$go" PATH="/usr/lib/go-1.19/bin:$PATH"
# All of the generated code but this is in the source; make would look through it for half of its time.
nice -n 19 go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
folders=$(grep -Rl --include='*.go' '^// *+k8s:openapi-gen=' pkg vendor/k8s.io | xargs -n 1 dirname | sort -u |
    grep -v -e vendor/k8s.io/code-generator -e vendor/k8s.io/sample-apiserver | sed 's,^,k8s.io/kubernetes/,' | paste -sd ,)
nice -n 19 "$work/openapi-gen" -i "$folders" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
    -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r "$work/violations" >&2
values=
for package in client-go/pkg component-base; do
    for value in gitVersion=v1.20.2 gitMajor=1 gitMinor=20; do
        values="$values -X k8s.io/kubernetes/vendor/k8s.io/$package/version.$value"
    done
done
mkdir -p "$work/programs"
packages=
for program in $programs; do
    packages="$packages ./cmd/$program"
done
# Without cloud providers and dockershim.
# shellcheck disable=SC2086 # a list of words
nice -n 19 go build -tags providerless,dockerless -ldflags "-s -w$values" -o "$work/programs/" $packages
mv "$work/programs" "$kept"
rm -rf "$work"
echo "$kept"
