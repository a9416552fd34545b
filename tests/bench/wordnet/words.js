// WordNet as a graph in memory, then idle; with a number as the second argument: made so often,
// then the seconds that took.
"use strict";
const fs = require("fs");

const KINDS = {v: "verb", a: "adj", s: "adj", r: "adv"};

function read(kind, line, {synsets, index, counts}) {
  const bar = line.indexOf(" | ");
  const fields = line.slice(0, bar).split(" "), gloss = line.slice(bar + 3).trimEnd();
  const wordsEnd = 4 + 2 * parseInt(fields[3], 16);
  const linksEnd = wordsEnd + 1 + 4 * parseInt(fields[wordsEnd], 10);
  const synset = {id: kind + fields[0], words: [], gloss, links: [], depth: null};
  for (let at = 4; at < wordsEnd; at += 2) {
    const word = fields[at], key = word.toLowerCase();
    synset.words.push(word);
    if (index.has(key)) index.get(key).push(synset);
    else index.set(key, [synset]);
  }
  for (let at = wordsEnd + 1; at < linksEnd; at += 4)
    synset.links.push([fields[at], (KINDS[fields[at + 2]] ?? "noun") + fields[at + 1]]);
  synsets.set(synset.id, synset);
  for (const word of gloss.toLowerCase().match(/[a-z]+/g) ?? [])
    counts.set(word, (counts.get(word) ?? 0) + 1);
}

function depth(synset) {
  if (synset.depth === null) {
    synset.depth = 0; // WordNet 3.0 has a circle of two verbs.
    let most = -1;
    for (const [symbol, target] of synset.links)
      if (symbol === "@") most = Math.max(most, depth(target));
    synset.depth = most + 1;
  }
  return synset.depth;
}

function load() {
  const found = {synsets: new Map(), index: new Map(), counts: new Map(), codes: {}};
  const {synsets, index, counts} = found;
  for (const kind of ["verb", "adj", "adv"]) {
    const text = fs.readFileSync(`/usr/share/wordnet/data.${kind}`, "latin1");
    for (const line of text.split("\n"))
      if (line !== "" && !line.startsWith(" ")) read(kind, line, found);
  }
  for (const synset of synsets.values())
    synset.links = synset.links.map(([s, id]) => [s, synsets.get(id)]).filter(([, to]) => to);
  for (const part of ["639-3", "3166-2"])
    found.codes[part] = JSON.parse(fs.readFileSync(`/usr/share/iso-codes/json/iso_${part}.json`));
  let deepest = 0, common = null;
  for (const synset of synsets.values()) deepest = Math.max(deepest, depth(synset));
  for (const [word, count] of counts) {
    const most = counts.get(common) ?? 0;
    if (count > most || (count === most && word < common)) common = word;
  }
  found.summary = `${synsets.size} ${index.size} ${counts.size} ${common} ${deepest}`;
  return found;
}

const [name, rounds] = process.argv.slice(2);
const start = process.hrtime.bigint();
let held = load();
for (let round = 1; round < (rounds ?? 1); round++) held = load();
if (rounds) {
  console.log(Number(process.hrtime.bigint() - start) / 1e9);
} else {
  console.log(`ready ${name}: ${held.summary}`);
  setInterval(() => held, 60000);
}
