// WordNet as a graph in memory, then idle; with a number as the second argument: made so often,
// then the seconds that took.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;

class Link
{
    public string Symbol, Id;
    public Synset Target;
}

class Synset
{
    public string Id, Gloss;
    public List<string> Words = new List<string>();
    public List<Link> Links = new List<Link>();
    int depth = -1;

    public int Depth()
    {
        if (depth < 0)
        {
            depth = 0; // WordNet 3.0 has a circle of two verbs.
            int most = -1;
            foreach (Link link in Links)
                if (link.Symbol == "@") most = Math.Max(most, link.Target.Depth());
            depth = most + 1;
        }
        return depth;
    }
}

static class Words
{
    static readonly Dictionary<string, string> kinds = new Dictionary<string, string>
    {
        { "v", "verb" }, { "a", "adj" }, { "s", "adj" }, { "r", "adv" }
    };
    static readonly Dictionary<string, Synset> synsets = new Dictionary<string, Synset>();
    static readonly Dictionary<string, List<Synset>> index = new Dictionary<string, List<Synset>>();
    static readonly Dictionary<string, int> counts = new Dictionary<string, int>();
    static readonly Regex word = new Regex("[a-z]+");

    static void Read(string kind, string line)
    {
        int bar = line.IndexOf(" | ", StringComparison.Ordinal);
        string[] fields = line.Substring(0, bar).Split(' ');
        var synset = new Synset { Id = kind + fields[0], Gloss = line.Substring(bar + 3).TrimEnd() };
        int wordsEnd = 4 + 2 * int.Parse(fields[3], NumberStyles.HexNumber);
        int linksEnd = wordsEnd + 1 + 4 * int.Parse(fields[wordsEnd]);
        for (int at = 4; at < wordsEnd; at += 2)
        {
            string key = fields[at].ToLowerInvariant();
            synset.Words.Add(fields[at]);
            if (!index.ContainsKey(key)) index[key] = new List<Synset>();
            index[key].Add(synset);
        }
        for (int at = wordsEnd + 1; at < linksEnd; at += 4)
        {
            string target;
            if (!kinds.TryGetValue(fields[at + 2], out target)) target = "noun";
            synset.Links.Add(new Link { Symbol = fields[at], Id = target + fields[at + 1] });
        }
        synsets[synset.Id] = synset;
        foreach (Match match in word.Matches(synset.Gloss.ToLowerInvariant()))
        {
            int count;
            counts.TryGetValue(match.Value, out count);
            counts[match.Value] = count + 1;
        }
    }

    static string Load()
    {
        synsets.Clear();
        index.Clear();
        counts.Clear();
        foreach (string kind in new[] { "verb", "adj", "adv" })
            foreach (string line in File.ReadLines("/usr/share/wordnet/data." + kind, Encoding.ASCII))
                if (!line.StartsWith(" ", StringComparison.Ordinal)) Read(kind, line);
        foreach (Synset synset in synsets.Values)
        {
            foreach (Link link in synset.Links) synsets.TryGetValue(link.Id, out link.Target);
            synset.Links.RemoveAll(link => link.Target == null);
        }
        int deepest = 0;
        foreach (Synset synset in synsets.Values) deepest = Math.Max(deepest, synset.Depth());
        string common = null;
        foreach (var pair in counts)
            if (common == null || pair.Value > counts[common]
                || (pair.Value == counts[common] && string.CompareOrdinal(pair.Key, common) < 0))
                common = pair.Key;
        return string.Join(" ", synsets.Count, index.Count, counts.Count, common, deepest);
    }

    static void Main(string[] arguments)
    {
        var clock = Stopwatch.StartNew();
        int rounds = arguments.Length > 1 ? int.Parse(arguments[1]) : 1;
        string summary = Load();
        for (int round = 1; round < rounds; round++) summary = Load();
        if (arguments.Length > 1)
        {
            Console.WriteLine(clock.Elapsed.TotalSeconds.ToString(CultureInfo.InvariantCulture));
            return;
        }
        Console.WriteLine("ready " + arguments[0] + ": " + summary);
        Thread.Sleep(Timeout.Infinite);
    }
}
