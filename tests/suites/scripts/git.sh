#!/bin/sh
# Commits, packs by threads, a maintenance process in the background, a clone by pipe.
set -eu
mkdir /tmp/git
cd /tmp/git
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init -q -b main one
cd one
for number in $(seq 30); do
    seq "$number" 2000 >"file$((number % 5))"
    git add -A
    git commit -q -m "$number"
done
git checkout -q -b side HEAD~10
echo side >side
git add side
git commit -q -m side
git checkout -q main
git merge -q -m merged side
git repack -q -a -d -f --threads=2
git gc -q
git fsck --full 2>&1
git log --format='%H %s' | md5sum
git grep -c 1999 HEAD
cd ..
git clone -q --no-local one two 2>&1
git -C two rev-parse HEAD
git -C two blame file1 | wc -l
git -C two nonsense 2>&1 || echo "code $?"
rm -r /tmp/git
