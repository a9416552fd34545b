// WordNet as a graph in memory, then idle; with a number as the second argument: made so often,
// then the seconds that took.
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

public class Words {
    record Link(String symbol, String id, Synset target) {}

    static class Synset {
        String id, gloss;
        final List<String> words = new ArrayList<>();
        List<Link> links = new ArrayList<>();
        int depth = -1;

        int depth() {
            if (depth < 0) {
                depth = 0; // WordNet 3.0 has a circle of two verbs.
                int most = -1;
                for (Link link : links)
                    if (link.symbol.equals("@")) most = Math.max(most, link.target.depth());
                depth = most + 1;
            }
            return depth;
        }
    }

    static final Map<String, String> KINDS = Map.of("v", "verb", "a", "adj", "s", "adj", "r", "adv");
    static final Map<String, Synset> synsets = new HashMap<>();
    static final Map<String, List<Synset>> index = new HashMap<>();
    static final Map<String, Integer> counts = new HashMap<>();

    static void read(String kind, String line) {
        int bar = line.indexOf(" | ");
        String[] fields = line.substring(0, bar).split(" ");
        Synset synset = new Synset();
        synset.id = kind + fields[0];
        synset.gloss = line.substring(bar + 3).stripTrailing();
        int wordsEnd = 4 + 2 * Integer.parseInt(fields[3], 16);
        int linksEnd = wordsEnd + 1 + 4 * Integer.parseInt(fields[wordsEnd]);
        for (int at = 4; at < wordsEnd; at += 2) {
            synset.words.add(fields[at]);
            String key = fields[at].toLowerCase(Locale.ROOT);
            index.computeIfAbsent(key, k -> new ArrayList<>()).add(synset);
        }
        for (int at = wordsEnd + 1; at < linksEnd; at += 4) {
            String target = KINDS.getOrDefault(fields[at + 2], "noun") + fields[at + 1];
            synset.links.add(new Link(fields[at], target, null));
        }
        synsets.put(synset.id, synset);
        for (String word : synset.gloss.toLowerCase(Locale.ROOT).split("[^a-z]+"))
            if (!word.isEmpty()) counts.merge(word, 1, Integer::sum);
    }

    static String load() throws IOException {
        synsets.clear();
        index.clear();
        counts.clear();
        for (String kind : List.of("verb", "adj", "adv")) {
            Path file = Path.of("/usr/share/wordnet/data." + kind);
            try (BufferedReader reader = Files.newBufferedReader(file, StandardCharsets.ISO_8859_1)) {
                for (String line; (line = reader.readLine()) != null; )
                    if (!line.startsWith(" ")) read(kind, line);
            }
        }
        for (Synset synset : synsets.values()) {
            List<Link> links = new ArrayList<>();
            for (Link link : synset.links)
                if (synsets.get(link.id) != null)
                    links.add(new Link(link.symbol, link.id, synsets.get(link.id)));
            synset.links = links;
        }
        int deepest = 0;
        for (Synset synset : synsets.values()) deepest = Math.max(deepest, synset.depth());
        String common = "";
        for (var entry : counts.entrySet()) {
            int difference = entry.getValue() - counts.getOrDefault(common, 0);
            if (difference > 0 || (difference == 0 && entry.getKey().compareTo(common) < 0))
                common = entry.getKey();
        }
        return synsets.size() + " " + index.size() + " " + counts.size() + " " + common + " " + deepest;
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        long start = System.nanoTime();
        int rounds = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 1;
        String summary = load();
        for (int round = 1; round < rounds; round++) summary = load();
        if (arguments.length > 1) {
            System.out.println((System.nanoTime() - start) / 1e9);
        } else {
            System.out.println("ready " + arguments[0] + ": " + summary);
            Thread.sleep(Long.MAX_VALUE);
        }
    }
}
