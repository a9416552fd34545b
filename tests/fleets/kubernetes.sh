#!/bin/sh
# kubernetes.sh: builds Kubernetes from Debian's source package and prints the folder of its programs.
# They are cached under a hash of this file, which names the version: the first time half an hour.
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

work=$(mktemp -d "$cache/build-XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
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
dpkg-source --no-check -x ./kubernetes_*.dsc kubernetes >&2
dpkg-deb -x golang-github-modern-go-reflect2-dev_*.deb reflect2
# The vendored release iterates over maps as Go did before 1.18, and the API server dies of it.
cp reflect2/usr/share/gocode/src/github.com/modern-go/reflect2/* kubernetes/vendor/github.com/modern-go/reflect2/
cd kubernetes
cat >version <<VERSION
KUBE_GIT_COMMIT='debian'
KUBE_GIT_TREE_STATE='archive'
KUBE_GIT_VERSION='v1.20.2'
KUBE_GIT_MAJOR='1'
KUBE_GIT_MINOR='20'
VERSION
what=
for program in $programs; do
    what="$what cmd/$program"
done
# The caches of Go are large and of no use afterwards. -p=1: the machine has other work.
nice -n 19 env CGO_ENABLED=0 GOFLAGS=-p=1 GOCACHE="$work/go" GOPATH="$work/gopath" \
    PATH="/usr/lib/go-1.19/bin:$PATH" KUBE_GIT_VERSION_FILE="$PWD/version" \
    make WHAT="${what# }" >&2
mkdir "$work/programs"
for program in $programs; do
    cp "_output/local/go/bin/$program" "$work/programs/"
done
mv "$work/programs" "$kept"
echo "$kept"
