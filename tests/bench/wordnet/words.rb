# WordNet as a graph in memory, then idle.
KINDS = { "v" => "verb", "a" => "adj", "s" => "adj", "r" => "adv" }.freeze
Synset = Struct.new(:id, :words, :gloss, :links, :depth)
synsets, index, counts = {}, {}, Hash.new(0)
%w[verb adj adv].each do |kind|
  File.foreach("/usr/share/wordnet/data.#{kind}") do |line|
    next if line.start_with?(" ")
    data, gloss = line.rstrip.split(" | ", 2)
    fields = data.split(" ")
    words_end = 4 + 2 * fields[3].to_i(16)
    links_end = words_end + 1 + 4 * fields[words_end].to_i
    words = (4...words_end).step(2).map { |at| fields[at] }
    links = ((words_end + 1)...links_end).step(4).map do |at|
      [fields[at], KINDS.fetch(fields[at + 2], "noun") + fields[at + 1]]
    end
    synset = Synset.new(kind + fields[0], words, gloss, links, nil)
    synsets[synset.id] = synset
    words.each { |word| (index[word.downcase] ||= []) << synset }
    gloss.downcase.scan(/[a-z]+/) { |word| counts[word] += 1 }
  end
end

def depth(synset)
  return synset.depth if synset.depth
  synset.depth = 0 # WordNet 3.0 has a circle of two verbs.
  above = synset.links.filter_map { |symbol, target| depth(target) if symbol == "@" }
  synset.depth = (above.max || -1) + 1
end

synsets.each_value do |synset|
  synset.links = synset.links.filter_map { |symbol, id| (found = synsets[id]) && [symbol, found] }
end
deepest = synsets.each_value.map { |synset| depth(synset) }.max
common = counts.min_by { |word, count| [-count, word] }[0]
puts "ready #{ARGV[0]}: #{synsets.size} #{index.size} #{counts.size} #{common} #{deepest}"
$stdout.flush
sleep
