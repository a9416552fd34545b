// WordNet as a graph in memory, then idle; with a number as the second argument: made so often,
// then the seconds that took.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

type link struct {
	symbol, id string
	target     *synset
}

type synset struct {
	id, gloss string
	words     []string
	links     []link
	depth     int
}

type world struct {
	synsets map[string]*synset
	order   []*synset
	index   map[string][]*synset
	counts  map[string]int
	codes   map[string]any
	summary string
}

var (
	kinds   = map[string]string{"v": "verb", "a": "adj", "s": "adj", "r": "adv"}
	letters = regexp.MustCompile("[a-z]+")
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func (all *world) read(kind, line string) {
	data, gloss, _ := strings.Cut(line, " | ")
	fields := strings.Split(data, " ")
	words, err := strconv.ParseInt(fields[3], 16, 32)
	check(err)
	wordsEnd := 4 + 2*int(words)
	links, err := strconv.Atoi(fields[wordsEnd])
	check(err)
	one := &synset{id: kind + fields[0], gloss: strings.TrimSpace(gloss), depth: -1}
	for at := 4; at < wordsEnd; at += 2 {
		key := strings.ToLower(fields[at])
		one.words = append(one.words, fields[at])
		all.index[key] = append(all.index[key], one)
	}
	for at := wordsEnd + 1; at < wordsEnd+1+4*links; at += 4 {
		target, isKnown := kinds[fields[at+2]]
		if !isKnown {
			target = "noun"
		}
		one.links = append(one.links, link{symbol: fields[at], id: target + fields[at+1]})
	}
	all.synsets[one.id] = one
	all.order = append(all.order, one)
	for _, word := range letters.FindAllString(strings.ToLower(gloss), -1) {
		all.counts[word]++
	}
}

func (one *synset) deepest() int {
	if one.depth < 0 {
		one.depth = 0 // WordNet 3.0 has a circle of two verbs.
		most := -1
		for _, each := range one.links {
			if each.symbol == "@" && each.target != nil {
				most = max(most, each.target.deepest())
			}
		}
		one.depth = most + 1
	}
	return one.depth
}

func load() *world {
	all := &world{map[string]*synset{}, nil, map[string][]*synset{}, map[string]int{}, map[string]any{}, ""}
	for _, kind := range []string{"verb", "adj", "adv"} {
		text, err := os.ReadFile("/usr/share/wordnet/data." + kind)
		check(err)
		for _, line := range strings.Split(string(text), "\n") {
			if line != "" && line[0] != ' ' {
				all.read(kind, line)
			}
		}
	}
	deepest := 0
	for _, one := range all.order {
		for at := range one.links {
			one.links[at].target = all.synsets[one.links[at].id]
		}
	}
	for _, one := range all.order {
		deepest = max(deepest, one.deepest())
	}
	for _, part := range []string{"639-3", "3166-2"} {
		text, err := os.ReadFile("/usr/share/iso-codes/json/iso_" + part + ".json")
		check(err)
		var found any
		check(json.Unmarshal(text, &found))
		all.codes[part] = found
	}
	common := ""
	for word, count := range all.counts {
		if most := all.counts[common]; count > most || count == most && word < common {
			common = word
		}
	}
	all.summary = fmt.Sprintf("%d %d %d %s %d", len(all.synsets), len(all.index), len(all.counts), common, deepest)
	return all
}

func main() {
	rounds, begin := 1, time.Now()
	if len(os.Args) > 2 {
		given, err := strconv.Atoi(os.Args[2])
		check(err)
		rounds = given
	}
	held := load()
	for ; rounds > 1; rounds-- {
		held = load()
	}
	if len(os.Args) > 2 {
		fmt.Println(time.Since(begin).Seconds())
		return
	}
	fmt.Printf("ready %s: %s\n", os.Args[1], held.summary)
	for {
		time.Sleep(time.Minute)
		if held == nil {
			return
		}
	}
}
